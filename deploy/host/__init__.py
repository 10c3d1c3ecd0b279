"""A release on one EC2 host: what CodeDeploy's hooks and release.sh run.

Python 3.9 and its standard library only, since that is what Amazon Linux brings.
"""
