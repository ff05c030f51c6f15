"""What is left of Python 2 in old code, and what it is called in Python 3."""

from __future__ import annotations

import re

#: Modules of the standard library.
_MODULES = {
    "cPickle": "pickle", "cStringIO": "io", "StringIO": "io", "urllib2": "urllib.request",
    "urlparse": "urllib.parse", "Queue": "queue", "ConfigParser": "configparser", "Tkinter": "tkinter",
    "tkFileDialog": "tkinter.filedialog", "tkMessageBox": "tkinter.messagebox", "__builtin__": "builtins",
    "copy_reg": "copyreg", "httplib": "http.client", "HTMLParser": "html.parser", "Cookie": "http.cookies",
    "cookielib": "http.cookiejar", "commands": "subprocess", "thread": "_thread", "UserDict": "collections",
    "SocketServer": "socketserver", "BaseHTTPServer": "http.server", "SimpleHTTPServer": "http.server",
    "xmlrpclib": "xmlrpc.client", "anydbm": "dbm",
}  # fmt: skip
#: Functions and types that were built in, or in a module that has lost them.
_NAMES = {
    "xrange": "range", "unicode": "str", "basestring": "str", "long": "int", "raw_input": "input",
    "unichr": "chr", "reduce": "functools.reduce", "reload": "importlib.reload", "izip": "zip",
    "imap": "map", "ifilter": "filter", "izip_longest": "itertools.zip_longest", "file": "open",
    "maketrans": "str.maketrans",
}  # fmt: skip
#: What is said of a line by the compiler of Python 3, and what the line itself looks like.
_SAID = re.compile(r"Missing parentheses in call to|exception types must be parenthesized|leading zeros in")
_LINE = re.compile(r"^\s*raise\s+[\w.]+\s*,|^\s*except\s+[\w.]+\s*,|<>|\b\d+L\b|`")


def renamed(error: BaseException) -> str:
    """What a missing name of Python 2 is in Python 3, or that the line is of Python 2; else ``""``."""
    if isinstance(error, SyntaxError):
        old = _SAID.search(str(error)) or _LINE.search(error.text or "")
        return "it is written in Python 2: `2to3 -w` of lib2to3 or fissix makes Python 3 of it" if old else ""
    if isinstance(error, ModuleNotFoundError):
        top = (error.name or "").split(".")[0]
        return f"{top} is a module of Python 2: Python 3 has {_MODULES[top]}" if top in _MODULES else ""
    imported = re.match(r"cannot import name '(\w+)'|module '\w+' has no attribute '(\w+)'", str(error))
    gone = error.name if isinstance(error, NameError) else imported and (imported[1] or imported[2])
    return f"{gone} is a name of Python 2: Python 3 has {_NAMES[gone]}" if gone in _NAMES else ""
