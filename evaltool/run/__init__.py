"""A run: the directory that ``evaltool score`` writes, and what it is made of."""
