"""Does an implementation of the post's CNN functions give the right answers, and if not, why.

Imports run one way: a room uses those named before it (README.md has the map).

``cases``, ``operations``     a case is one line of text; the functions judged
``generation``                the cases of a run and their arrays, the same bits everywhere
``oracle``                    the right answer: PyTorch autograd in float64
``bounds``                    how far from it rounding may lead
``conventions``               the choices that frameworks make differently
``faults``                    which known fault explains a failure
``implementations``           the module under test, and how it is called
``verdict``                   an output compared, and the record of it
``diagnosis``                 where it is wrong, in the smallest case
``report``                    what a person opens
``runs``                      case by case, in several processes; what CI compares
``commands``                  the command line
``adapters``                  other implementations, loaded by name
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cnnref")  # pyproject.toml has it
except PackageNotFoundError:  # built in place, not installed
    __version__ = "unknown"
