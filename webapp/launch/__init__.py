"""`make run`: from a fresh checkout to an open page. Standard library only: nothing is installed yet."""
