"""What a user reads who made a mistake: one sentence, a non-zero exit, no traceback."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from command_story import Site, until
from rounds_story import hospitals, task_file, write_pictures

from fedcore.exchange import codec
from fedcore.models.catalogue import build
from fedcore.models.state import to_params

pytestmark = pytest.mark.servers
PARTY = {
    "local": {"role": "guest", "party_id": "1"},
    "remote": {"role": "host", "party_id": "2", "address": "IP:PORT"},
}


def site(
    folder: Path,
    task: Mapping | str | None = None,
    party: Mapping | None = None,
    data: Path | None = None,
    **environ: str,
) -> Site:
    """The command on two hospitals in `folder`, with whatever is to be wrong with it."""
    content = task or task_file().model_dump(mode="json")
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "task.yaml").write_text(text)
    (folder / "party.json").write_text(json.dumps(party or PARTY))
    arguments = ["--config", "task.yaml", "--party_config", "party.json"]
    return Site(folder, [*arguments, "--data", str(data or folder / "data")], environ)


def changed(section: str, **fields: object) -> dict:
    """A good task file but for these fields of a section."""
    content = task_file().model_dump(mode="json")
    content[section] = {**content[section], **fields}
    return content


def sentence(place: Site, code: int) -> str:
    """The last line that is printed; it is alone on its line and no traceback comes with it."""
    assert place.run() == code, place.printed
    assert "Traceback" not in place.printed, place.printed
    return place.printed.strip().splitlines()[-1]


FILES = {
    "a missing section": ({"task_type": "classification"}, ["task.yaml", "model is missing"]),
    "an unknown field": (changed("federation", epoch=3), ["federation.epoch", "epochs"]),
    "an unknown strategy": (changed("federation", strategy="fedavgg"), ["strategy", "'fedavg'"]),
    "an unknown metric": (changed("federation", select_by="aucroc"), ["select_by", "auroc"]),
    "text that is no YAML": ("model: [", ["task.yaml", "line"]),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_task_file_with(fault: str, tmp_path) -> None:
    task, words = FILES[fault]
    text = sentence(site(tmp_path, task, data=tmp_path), 2)
    assert all(word in text for word in words), text


def test_a_party_file_without_an_address_for_two_machines(tmp_path) -> None:
    party = {"local": PARTY["local"], "remote": {"role": "host", "party_id": "2"}}
    data = write_pictures(tmp_path / "data")
    text = sentence(site(tmp_path, party=party, data=data), 2)
    assert "party.json" in text
    assert "address" in text


def test_the_placeholder_address_between_two_machines(tmp_path) -> None:
    data = write_pictures(tmp_path / "data")
    text = sentence(site(tmp_path, data=data), 2)
    assert "IP:PORT" in text
    assert "placeholder" in text


def test_weights_that_are_not_there(tmp_path) -> None:
    hospitals(tmp_path / "data")
    text = sentence(site(tmp_path, changed("model", weights="none.safetensors")), 2)
    assert "model.weights is 'none.safetensors'" in text


def with_server(folder: Path, prefect_api: str, **wrong: object) -> str:
    """The sentence that a mistake in the data leads to, once the parties have started."""
    return sentence(site(folder, PREFECT_API_URL=prefect_api, **wrong), 2)


def test_a_model_that_does_not_exist(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    text = with_server(tmp_path, prefect_api, task=changed("model", name="resnet81"))
    assert "model.name is 'resnet81'" in text
    assert "did you mean" in text


def test_an_empty_data_folder(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    for path in (tmp_path / "data" / "2").rglob("*.png"):
        path.unlink()
    assert "holds no image" in with_server(tmp_path, prefect_api)


def test_one_class_only(tmp_path, prefect_api) -> None:
    data = tmp_path / "data"
    hospitals(data)
    for path in (data / "2" / "PNEUMONIA").iterdir():
        path.unlink()
    text = with_server(tmp_path, prefect_api)
    assert "class" in text


def test_a_label_file_that_names_absent_images(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    (tmp_path / "data" / "2" / "labels.csv").write_text("file,label\nabsent.png,NORMAL\n")
    text = with_server(tmp_path, prefect_api)
    assert "labels.csv" in text
    assert "absent.png" in text


def test_files_that_are_no_images(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    for path in (tmp_path / "data" / "2").rglob("*.png"):
        path.rename(path.with_suffix(".dcm")).write_bytes(b"no DICOM at all")
    text = with_server(tmp_path, prefect_api)
    assert "2" in text


def test_weights_of_another_architecture(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    section = task_file().model.model_copy(update={"name": "resnet18", "input_size": (3, 64, 64)})
    body = codec.encode(to_params(build(section, 0)))
    (tmp_path / "other.safetensors").write_bytes(body)
    task = changed("model", weights="other.safetensors")
    text = with_server(tmp_path, prefect_api, task=task)
    assert "other.safetensors" in text


def test_an_exchange_that_cannot_be_written(tmp_path, prefect_api) -> None:
    data = write_pictures(tmp_path / "data")
    (tmp_path / "file").write_text("no folder")
    remote = {**PARTY["remote"], "address": "file/exchange"}
    party = {"local": PARTY["local"], "remote": remote}
    text = with_server(tmp_path, prefect_api, party=party, data=data)
    assert "file/exchange" in text


def test_a_prefect_api_that_does_not_answer(tmp_path) -> None:
    hospitals(tmp_path / "data")
    with socket.socket() as taken:  # bound and not listening: nobody answers here
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        text = sentence(site(tmp_path, PREFECT_API_URL=url), 1)
    assert url in text
    assert "unset PREFECT_API_URL" in text


def test_a_second_command_for_the_same_seat(tmp_path, prefect_api) -> None:
    data = write_pictures(tmp_path / "data")
    remote = {**PARTY["remote"], "address": "exchange"}
    party = {"local": PARTY["local"], "remote": remote}
    first = site(tmp_path, party=party, data=data, PREFECT_API_URL=prefect_api)
    second = Site(tmp_path / "second", _absolute(first), first.environ)
    second.folder.mkdir()
    second.output.symlink_to(first.output)
    first.start()
    assert first.process is not None
    try:
        until(lambda: "run " in first.printed, "the first command's begin", 60)
        assert "in training here already" in sentence(second, 2)
        hello = "exchange/parties/1/*/hello.json"
        until(lambda: any(tmp_path.glob(hello)), "the wait for the absent host", 60)
        first.process.send_signal(signal.SIGINT)
        assert first.wait(20) == 130, first.printed
    finally:
        first.end()
    assert "run the same command again" in first.printed
    assert "Traceback" not in first.printed


def _absolute(place: Site) -> list[str]:
    """The arguments of a command, for use in another folder."""
    named = {"task.yaml", "party.json"}
    return [str(place.folder / one) if one in named else one for one in place.arguments]


def test_ctrl_c_says_how_to_go_on_and_the_same_command_goes_on(tmp_path, prefect_api) -> None:
    hospitals(tmp_path / "data")
    place = site(tmp_path, PREFECT_API_URL=prefect_api)
    place.start()
    assert place.process is not None
    try:
        until(lambda: "Epoch 1/2" in place.printed, "the first round")
        place.process.send_signal(signal.SIGINT)
        assert place.wait() == 130, place.printed
    finally:
        place.end()
    assert "run the same command again" in place.printed
    assert "Traceback" not in place.printed
    assert place.run() == 0, place.printed
    assert "Epoch 2/2" in place.printed
