"""The framework-free core: contracts, features, models, bundles, gates. Never imports zenml."""
