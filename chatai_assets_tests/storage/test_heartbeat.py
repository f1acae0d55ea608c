import threading

from chatai_assets.domain.errors import StoreUnavailable
from chatai_assets.storage.heartbeat import heartbeat


def test_heartbeats_continue_after_an_outage_and_end_with_the_block():
    beats, third = [], threading.Event()

    def beat() -> None:
        beats.append(threading.current_thread())
        if len(beats) == 1:
            raise StoreUnavailable("away")
        if len(beats) == 3:
            third.set()

    with heartbeat(beat, 0.01, "pulse"):
        assert third.wait(10)
    assert beats[0] is not threading.main_thread()
    assert not beats[0].is_alive()
