"""The language of cases: a case is one line of text; its dtypes, options and windows."""
