"""The Grafana dashboards, written as Python and kept as JSON in helm/nesycd/dashboards.

python -m helm.dashboards
"""
