"""stub"""
from tinydeploy.engines.aot.program import Step
def variant(step): return ("·16" if step.params.get("kWide") else "") + ("·shared" if step.params.get("kShared") else "")
def instructions(step): return 1000 - (500 if step.params.get("kWide") else 0)
