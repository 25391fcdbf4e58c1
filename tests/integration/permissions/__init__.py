"""The rows of the permission matrix, one module per app; `test_permission_matrix.py` runs them."""
