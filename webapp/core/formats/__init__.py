"""How dates and numbers are written, by language (the setting FORMAT_MODULE_PATH)."""
