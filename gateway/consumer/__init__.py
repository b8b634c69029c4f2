"""The consumer page: what the code on a pack opens. Public, in plain words, silent about others' affairs."""
