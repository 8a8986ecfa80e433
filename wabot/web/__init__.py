"""HTTP: routes, who may call, errors as JSON, and the shapes of requests."""
