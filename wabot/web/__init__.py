"""HTTP: routes, authentication, errors as JSON, and the request models."""
