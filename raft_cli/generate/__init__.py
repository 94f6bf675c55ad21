"""The stages of `raft generate`; `pipeline` alone knows their order."""
