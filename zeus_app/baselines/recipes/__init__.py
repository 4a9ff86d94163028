"""The default recipe of each network, one YAML file each; `settings.recipes` reads them."""
