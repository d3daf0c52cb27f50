"""What a space cannot vary, and why."""

_CLOSED = {
    "training.seed": "seeds are not settings: a space that varies them would pick the luckiest",
    "training.replicas": "all trials must be means of as many seeds: a mean of fewer is more often a lucky one",
    "training.device": "the device is given by --device and the resources",
    "training.threads": "threads belong to the resources of a trial",
    "training.report_samples": "all trials must be measured alike",
}


def why_not_tunable(path: str) -> str:
    """Why a space cannot vary a key path of the experiment; '' where it can."""
    if path.split(".")[0] == "tasks" and path != "tasks.augment":
        return "the stream is what a sweep is about: trials on other data cannot be compared"
    if path.split(".")[0] == "by_task":
        return "values for each task are found task by task, by protocol {name: stability_decay}"
    return _CLOSED.get(path, "")
