"""What the routes do: one module a resource, imported when one of its routes is called."""
