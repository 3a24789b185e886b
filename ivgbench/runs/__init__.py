"""Runs: jobs with content-hash identities, durable files for every stage, and the engines that work them off."""
