"""Public datasets as they are downloaded: read, verified, split by patient, linked as studies."""
