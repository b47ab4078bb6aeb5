"""The common model: what every vendor's payloads become.  Imports nothing else of ours."""
