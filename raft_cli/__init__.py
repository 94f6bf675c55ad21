"""raft: Retrieval Augmented Fine-Tuning from documents to verdict."""

__version__ = "0.1.0"
