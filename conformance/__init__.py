"""Does an implementation of the post's CNN functions give the right answers, and if not, why.

Imports run one way, top to bottom:

``operations``, ``case``      the functions judged; a case is one line of text
``formats``                   its dtypes: what arrays are stored in, what sums are computed in
``stream``, ``fills``         integers that are the same everywhere; values made of them
``family``, ``families``      what a kind of values is; the named kinds
``data``                      the arrays of a case
``corners``, ``generate``     the shapes that broke real kernels; the cases of a run
``oracle``                    the right answer: PyTorch autograd in float64
``bounds``, ``compare``       how far from it rounding may lead; the verdict on an output (``elements``)
``implementation``            the module under test
``diagnose``, ``slips``       which known mistake explains a failure
``findings``, ``power``       where it is wrong, in the smallest case; what a run would have caught
``runner``, ``record``        case by case to one line per output
``schema``, ``document``      the door for every file that is read back
``report``, ``gate``          what a person opens, what CI compares
``usage``, ``terminal``       exit statuses and errors; colour and completion
``ending``, ``feasible``      what a command says where it cannot do what was asked; cases that cannot be
``run_command``, ..., ``cli``  the commands, each with its options, and the command line
"""

__version__ = "0.1.0"
