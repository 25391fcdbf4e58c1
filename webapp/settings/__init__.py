"""Settings of the web side, one module per kind of deployment."""
