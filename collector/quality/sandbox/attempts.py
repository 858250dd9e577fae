"""The programs of the escape battery. Each prints ``ESCAPE what`` for what succeeds, and ``DONE`` at its end.

``LURES`` is what :class:`collector.quality.sandbox.lures.Lures` tells; ``tried`` runs one attempt. None of them can harm
an unprotected machine: see :mod:`collector.quality.sandbox.battery`.
"""

from __future__ import annotations

__all__: list[str] = []

ORDINARY = """
import collections, json, math, re, threading
said = []
thread = threading.Thread(target=lambda: said.append(input().upper()))
thread.start()
thread.join()
assert json.loads("[1]") == [1] and math.isclose(math.pi, 3.14159, rel_tol=1e-5) and re.match("a+", "aa")
import asyncio
async def three(): return 3
assert asyncio.run(three()) == 3
print(*said)
"""

PRELUDE = """
import ctypes, errno, json, os, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, attempt):
    try:
        result = attempt()
    except BaseException:
        return
    if result is not False:
        print("ESCAPE", what, flush=True)
def code(result):
    return result if result >= 0 else False
"""

READ = """
def read(path):
    with open(path, "rb") as file:
        print(file.read(64))
places = [LURES["folder"] + "/secret", "/etc/passwd", "/etc/shadow", "/etc/hostname", LURES["package"] + "/battery.py",
          LURES["home"] + "/.bashrc", "/proc/self/environ", "/proc/1/environ", "/proc/cpuinfo", "/sys/class/net/lo/address"]
for path in places:
    tried("read " + path, lambda: read(path))
    tried("read by descriptor " + path, lambda: os.read(os.open("../../../../.." + path, os.O_RDONLY), 64))
for path in ["/home", "/root", "/etc", "/proc", "/var", LURES["home"], LURES["folder"], LURES["package"]]:
    tried("list " + path, lambda: len(os.listdir(path)) or False)
for fd in range(3, 64):
    tried("inherited descriptor", lambda: os.fstat(fd))
print("DONE")
"""

WRITE = """
folder, secret = LURES["folder"], LURES["folder"] + "/secret"
def write(path, flags):
    fd = os.open(path, flags, 0o666)
    os.write(fd, b"x")
    os.close(fd)
tried("overwrite", lambda: write(secret, os.O_WRONLY))
tried("append", lambda: write(secret, os.O_WRONLY | os.O_APPEND))
tried("truncate by opening", lambda: os.open(secret, os.O_RDONLY | os.O_TRUNC))
tried("truncate", lambda: os.truncate(secret, 0))
tried("create", lambda: write(folder + "/new", os.O_WRONLY | os.O_CREAT))
tried("make a folder", lambda: os.mkdir(folder + "/folder"))
tried("link", lambda: os.symlink("/", folder + "/link"))
tried("hard link", lambda: os.link(secret, folder + "/hard"))
tried("rename", lambda: os.rename(secret, folder + "/renamed"))
tried("change mode", lambda: os.chmod(secret, 0o600))
tried("change mode of the folder", lambda: os.chmod(folder, 0o700))
tried("change owner", lambda: os.chown(secret, 1, 1))
tried("change times", lambda: os.utime(secret, (1, 1)))
tried("attribute", lambda: os.setxattr(secret, "user.x", b"x"))
tried("remove", lambda: os.unlink(secret))
for place in {"/", "/etc", "/usr/lib", "/var/tmp", "/dev/shm", "/run", LURES["library"], LURES["home"], LURES["package"]} - {"/tmp"}:
    path = place.rstrip("/") + "/sandbox-attempt"
    def create():
        write(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.unlink(path)
    tried("create in " + place, create)
print("DONE")
"""

ENVIRONMENT = """
for name, value in os.environ.items():
    print(name, value)
for pid in ["self", 1, os.getppid(), LURES["parent"], LURES["bait"]]:
    tried(f"environment of {pid}", lambda: print(open(f"/proc/{pid}/environ").read()))
known = {"HOME", "LANG", "LC_CTYPE", "MALLOC_ARENA_MAX", "PYTHONHASHSEED", "PWD"}
for name in set(os.environ) - known:
    tried("variable " + name, lambda: True)
print("DONE")
"""

LOOPBACK = """
def connect(family, host, port):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(0.3)
        s.connect((host, port))
        s.sendall(LURES["word"].encode())
def send(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("127.0.0.1", port))
ports = LURES["ports"]
for name in ("tcp4", "engine"):
    if ports[name]:
        for host in ("127.0.0.1", "0.0.0.0"):
            tried(f"{name} {host}", lambda: connect(socket.AF_INET, host, ports[name]))
if ports["tcp6"]:
    tried("tcp6", lambda: connect(socket.AF_INET6, "::1", ports["tcp6"]))
if ports["udp4"]:
    tried("udp4", lambda: send(ports["udp4"]))
def listen():
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
tried("listen", listen)
print("DONE")
"""

OUTSIDE = """
def connect(kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(0.2)
        try:
            s.connect(("192.0.2.1", 9))
            s.send(b"x")
        except TimeoutError:
            pass  # the packet left
tried("tcp", lambda: connect(socket.SOCK_STREAM))
tried("udp", lambda: connect(socket.SOCK_DGRAM))
tried("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
tried("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
print("DONE")
"""

UNIX = """
def connect(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(0.3)
        s.connect(address)
tried("path", lambda: connect(LURES["folder"] + "/socket"))
tried("abstract", lambda: connect("\\0" + LURES["word"]))
for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"):
    tried(path, lambda: connect(path))
print("DONE")
"""

KILL = """
import fcntl, resource, signal
bait, parent = LURES["bait"], LURES["parent"]
for pid in (parent, os.getppid(), 1, 0, -1):
    tried(f"signal to {pid}", lambda: os.kill(pid, 0))
tried("signal to the bait", lambda: os.kill(bait, 0))
def by_owner():
    read, write = os.pipe()
    fcntl.fcntl(read, fcntl.F_SETOWN, bait)
    fcntl.fcntl(read, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(write, b"x")
tried("signal through a pipe's owner", by_owner)
tried("handle", lambda: os.pidfd_open(bait))
tried("handle of the parent", lambda: os.pidfd_open(parent))
tried("trace", lambda: code(libc.ptrace(16, bait, 0, 0)))
tried("limits of the bait", lambda: resource.prlimit(bait, resource.RLIMIT_CORE, (0, 0)))
tried("priority of the bait", lambda: os.setpriority(os.PRIO_PROCESS, bait, 7))
def read_memory():
    room = ctypes.create_string_buffer(8)
    piece = (ctypes.c_size_t * 2)(ctypes.addressof(room), 8)
    return code(libc.process_vm_readv(bait, piece, 1, piece, 1, 0))
tried("memory of the bait", read_memory)
tried("death signal off", lambda: code(libc.prctl(1, 0, 0, 0, 0)))
tried("kill the bait", lambda: os.kill(bait, signal.SIGKILL))
print("DONE")
"""

PROCESSES = """
tried("list", lambda: print(os.listdir("/proc")))
for pid in (LURES["bait"], LURES["parent"], os.getppid(), 1):
    for name in ("cmdline", "environ", "maps", "status", "stat", "mem", "auxv"):
        tried(f"{name} of {pid}", lambda: print(open(f"/proc/{pid}/{name}", "rb").read(64)))
    for name in ("cwd", "exe", "root", "fd/0"):
        tried(f"{name} of {pid}", lambda: os.readlink(f"/proc/{pid}/{name}"))
print("DONE")
"""

PRIVILEGES = """
for path in ("/bin/true", "/usr/bin/true", "/bin/sh", sys.executable):
    tried("run " + path, lambda: os.waitpid(os.posix_spawn(path, [path, "--version"], {}), 0)[1] == 0)
for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("network", 0x40000000), ("process", 0x20000000)):
    tried(name + " namespace", lambda: code(libc.unshare(flag)))
tried("root", lambda: os.setuid(0))
tried("change root", lambda: os.chroot("/"))
for name, number in (("io_uring", 425), ("memfd", 319 if os.uname().machine == "x86_64" else 279)):
    tried(name, lambda: code(libc.syscall(number, ctypes.create_string_buffer(256), ctypes.create_string_buffer(256))))
tried("shared memory", lambda: code(libc.shmctl(libc.shmget(0, 4096, 0o1600), 0, None)))
tried("message queue", lambda: code(libc.msgctl(libc.msgget(0, 0o1600), 0, None)))
tried("device", lambda: os.mknod("/tmp/sandbox-attempt", 0o20600, os.makedev(1, 3)) or os.unlink("/tmp/sandbox-attempt"))
tried("terminal", lambda: os.open("/dev/tty", os.O_RDWR))
print("DONE")
"""

FORKS = """
children = 0
while children < 80:
    try:
        if os.fork() == 0:
            time.sleep(1.5)
            os._exit(0)
    except OSError:
        break
    children += 1
if children:
    print("ESCAPE", children, "processes", flush=True)
threading.stack_size(65536)
over, threads = threading.Event(), []
try:
    while len(threads) < 200:
        thread = threading.Thread(target=over.wait, daemon=True)
        thread.start()
        threads.append(thread)
    print("ESCAPE", len(threads), "threads", flush=True)
except RuntimeError:
    pass
over.set()
print("DONE")
"""

MEMORY = """
import mmap, resource
three = 3 << 30
def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
tried("lift the limit", lift)
tried("3 GB", lambda: bytes(three))
tried("3 GB mapped", lambda: mmap.mmap(-1, three))
tried("memory file", lambda: os.memfd_create("x"))
print("DONE")
"""

MEMORY_PIECES = """
held = []
while len(held) < 300:
    held.append(bytes(10_000_000))
"""

DISK = """
piece, written, made = bytes(1_000_000), 0, []
for place in (".", "/tmp", "/dev/shm", "/var/tmp", LURES["home"]):
    try:
        while written < 40:
            path = f"{place}/sandbox-attempt-{len(made)}"
            with open(path, "xb") as file:
                made.append(path)
                file.write(piece)
            written += 1
    except OSError:
        pass
for path in made:
    os.unlink(path)
if written >= 33:
    print("ESCAPE", written, "MB", flush=True)
print("DONE")
"""

CPU = """
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
until = time.process_time() + 8
while time.process_time() < until: pass
"""

SLEEP = """
import signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for fd in (0, 1, 2):
    os.close(fd)
time.sleep(5)
"""

FLOOD = """
import sys
for _ in range(100_000):
    sys.{stream}.write("x" * 1000)
"""

DAEMON = """
def leave():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in (0, 1, 2):
                os.close(fd)
            time.sleep(5)
        os._exit(0)
tried("daemon", leave)
tried("own session", os.setsid)
print("DONE")
"""

_LINES = """
import gc, json, os, sys
nonces = {word for word in sys.argv + sys.orig_argv if len(word) == 32}
nonces |= {job["nonce"] for job in gc.get_objects() if isinstance(job, dict) and isinstance(job.get("nonce"), str)}
def forge():
    for nonce in nonces:
        for value in (True, ["bool", "1"], ["any"], {"__eq__": True}, ["int", "0x1"], None):
            for fd in range(10):
                try:
                    os.write(fd, f"\\n{nonce} {json.dumps({'case': 0, 'value': value, 'pass': True})}\\n".encode())
                except OSError:
                    pass
"""

FORGERIES = {
    "__eq__": """
class Same:
    __hash__ = None
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def answer(x): return Same()
""",
    "subclass of int": """
class Same(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def answer(x): return Same(1)
""",
    "forged lines": _LINES + "forge()\ndef answer(x):\n    forge()\n    os._exit(0)\n",
    "exit hook": _LINES + "import atexit\natexit.register(forge)\ndef answer(x): raise SystemExit(0)\n",
    "patched encoder": """
import json
json.dumps = lambda *a, **k: '{"case": 0, "value": true, "status": "pass"}'
def answer(x): return 1
""",
}
