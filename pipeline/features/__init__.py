"""The features stage: what is planned for a store, and how a shard is made."""
