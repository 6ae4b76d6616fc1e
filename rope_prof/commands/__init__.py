"""One module a command: options to one call, one call to printed lines."""
