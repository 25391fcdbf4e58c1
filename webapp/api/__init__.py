"""The REST interface: router, schema, errors."""
