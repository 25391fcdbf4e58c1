"""Models from elsewhere, brought into this project's form: read as data only, nothing in them is run."""
