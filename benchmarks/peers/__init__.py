"""Servers that `benchmarks.serve` measures beside ours, written as their users write them.

Each reads the folder PEER_MODEL, which `benchmarks.peers.prepare` fills: pipeline.joblib (the
scikit-learn pipeline), model.onnx (the same model), codes.json (its input from a record).
Each answers one record at /predict and a list at /batch.
"""
