"""Signing in: which files are taken, and how guessing is slowed down."""

import asyncio
import logging

import bcrypt
import pytest

from src.errors import InputError, MissingPathError
from src.serve.auth import Gate, Throttle, client_address, read_htpasswd

# A salt of its own each time would give the cases other names in each process.
HASH = bcrypt.hashpw(b"secret-1", b"$2b$05$abcdefghijklmnopqrstuu").decode()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def gate(clock=None):
    return Gate({"lilei": HASH.encode()}, Throttle(clock or Clock()))


def login(the_gate, user, password, address="10.0.0.1"):
    async def run():
        client_address.set(address)
        return await the_gate.login(user, password)

    return asyncio.run(run())


def test_bcrypt_lines_are_read(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"# office\n\nlilei:{HASH}\n韩梅梅:{HASH.replace('$2b$', '$2y$')}\n", encoding="utf-8")
    users = read_htpasswd(path)
    assert set(users) == {"lilei", "韩梅梅"}
    assert asyncio.run(Gate(users).login("韩梅梅", "secret-1"))


@pytest.mark.parametrize(
    "bad",
    [
        "hanmei:$apr1$abcdefgh$0123456789abcdefghijkl",
        "hanmei:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "hanmei:plain",
        "hanmei",
        ":" + HASH,
        f"lilei:{HASH}",
        "weak:" + HASH.replace("$05$", "$04$"),
    ],
)
def test_other_lines_are_refused_by_number_without_showing_the_hash(tmp_path, bad):
    path = tmp_path / "users"
    path.write_text(f"lilei:{HASH}\n{bad}\n")
    with pytest.raises(InputError, match="line 2") as caught:
        read_htpasswd(path)
    hashed = bad.partition(":")[2]
    assert not hashed or hashed not in str(caught.value)


def test_no_file_and_no_user(tmp_path):
    with pytest.raises(MissingPathError, match="htpasswd -B"):
        read_htpasswd(tmp_path / "none")
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(InputError, match="no user"):
        read_htpasswd(tmp_path / "empty")


def test_right_and_wrong():
    the_gate = gate()
    assert login(the_gate, "lilei", "secret-1")
    assert not login(the_gate, "lilei", "secret-2")
    assert not login(the_gate, "nobody", "secret-1")
    assert not login(the_gate, "nobody", "\x01")
    assert not login(the_gate, "lilei", "")
    assert not login(the_gate, "lilei", "x" * 5000)


def test_300_wrong_logins_are_throttled(monkeypatch):
    """R19: after a handful, further tries are not even compared, and the right password does not help meanwhile."""
    clock, compared = Clock(), []
    the_gate = gate(clock)
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: compared.append(1) or real(*args))
    for attempt in range(300):
        assert not login(the_gate, "lilei", f"guess-{attempt}")
    assert len(compared) == 5
    assert not login(the_gate, "lilei", "secret-1") and len(compared) == 5
    # Someone elsewhere is not shut out, and this one is let in after the delay.
    assert login(the_gate, "lilei", "secret-1", address="10.0.0.2")
    clock.now += 1.1
    assert login(the_gate, "lilei", "secret-1")


def test_the_delay_doubles_up_to_a_limit_and_is_forgotten():
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        throttle.wrong("u", "a")
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_s("u", "a"))
        clock.now += waits[-1]
        throttle.wrong("u", "a")
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0] and max(waits) == 900.0
    clock.now += 900 + 1801
    throttle.wrong("u", "a")
    assert throttle.wait_s("u", "a") == 0.0


def test_many_names_from_one_address_are_throttled():
    throttle = Throttle(Clock())
    for index in range(30):
        throttle.wrong(f"user{index}", "a")
    assert throttle.address_wait_s("a") > 0 and throttle.wait_s("fresh", "a") > 0
    assert throttle.wait_s("fresh", "b") == 0.0


def test_many_addresses_on_one_name_are_slowed_but_not_for_long():
    clock = Clock()
    throttle = Throttle(clock)
    for index in range(200):
        throttle.wrong("u", f"a{index}")
    assert 0 < throttle.wait_s("u", "fresh") <= 60


def test_right_logins_do_not_count_against_an_office():
    the_gate = gate()
    for _ in range(40):
        assert login(the_gate, "lilei", "secret-1")


def test_parallel_guesses_do_not_slip_through(monkeypatch):
    compared = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: compared.append(1) or real(*args))
    the_gate = gate()

    async def storm():
        client_address.set("10.0.0.9")
        return await asyncio.gather(*(the_gate.login("lilei", f"g{index}") for index in range(50)))

    assert not any(asyncio.run(storm())) and len(compared) == 5


def test_the_table_of_wrong_logins_does_not_grow_without_end():
    throttle = Throttle(Clock(), most=100)
    for index in range(1000):
        throttle.wrong(f"u{index}", f"a{index}")
    assert len(throttle._wrong) == 100


def test_passwords_and_names_are_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    the_gate = gate()
    for _ in range(8):
        login(the_gate, "canary-name", "canary-password")
    assert "refused" in caplog.text and "canary" not in caplog.text
