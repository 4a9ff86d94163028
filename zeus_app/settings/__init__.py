"""Settings, registries, and the YAML files that ship with the package."""
