//! A second process that maps a RAM file and writes it on command, as QEMU would.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use colo_ram::{GuestRam, HandedOver, PAGE, PageSet, receive_uffd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

const DEADLINE: Duration = Duration::from_secs(10);

/// Maps argv[1]; reads lines `command`, executes it as Python and answers with a line of its result.
const WRITER: &str = r#"
import mmap, os, random, sys, threading
P = 4096
fd = os.open(sys.argv[1], os.O_RDWR)
ram = mmap.mmap(fd, 0)
pages = len(ram) // P
running = threading.Event()

def write(page, value):
    ram[page * P + random.randrange(P - 8)] = value
    return page

def scatter(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        at = rng.randrange(pages) * P + rng.randrange(P - 3)
        ram[at:at + 3] = bytes((rng.randrange(2), rng.randrange(2), rng.randrange(256)))

def loop():
    seed = 0
    while running.is_set():
        scatter(seed, 50)
        seed += 1

def start():
    global thread
    running.set()
    thread = threading.Thread(target=loop)
    thread.start()

def stop():
    running.clear()
    thread.join()

for line in sys.stdin:
    print(eval(line), flush=True)
"#;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A name nobody else has, in memory-backed storage; what has it is removed with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(suffix: &str) -> Self {
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(format!("/dev/shm/colo-ram-test-{process}-{number}{suffix}").into())
    }
}

impl AsRef<OsStr> for Scratch {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing has the name if a test went wrong before.
        let _ = remove_file(&self.0);
    }
}

/// A RAM file full of ones; its path for the other process.
pub fn ram_file(pages: u64) -> (Scratch, File) {
    let (path, mut file) = untouched_ram_file(pages);
    (0..pages).for_each(|_| file.write_all(&[1; PAGE]).unwrap());
    (path, file)
}

/// A RAM file that takes no memory yet.
pub fn untouched_ram_file(pages: u64) -> (Scratch, File) {
    let path = Scratch::new(".ram");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&*path)
        .unwrap();
    file.set_len(pages * PAGE as u64).unwrap();
    (path, file)
}

pub struct Writer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub ram: GuestRam,
    pub file: File,
    handed: Option<HandedOver>,
}

impl Writer {
    /// Starts it, with the shim preloaded.
    pub fn start(pages: u64) -> Self {
        Self::spawn(ram_file(pages), Command::new(python()))
    }

    /// The same with memory that nobody has touched.
    pub fn start_untouched(pages: u64) -> Self {
        Self::spawn(untouched_ram_file(pages), Command::new(python()))
    }

    /// Starts it by way of another program that replaces itself.
    pub fn start_wrapped(pages: u64) -> Self {
        let mut command = Command::new("env");
        command.arg(python());
        Self::spawn(ram_file(pages), command)
    }

    /// The RAM file is unlinked once it is open, as the agent does.
    fn spawn((path, file): (Scratch, File), mut command: Command) -> Self {
        let socket = Scratch::new(".sock");
        let listener = UnixListener::bind(&*socket).unwrap();
        command
            .args(["-c", WRITER])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .env("LD_PRELOAD", shim())
            .env("COLO_UFFD_SOCK", &socket)
            .spawn()
            .unwrap();
        let handed = accept(&listener);
        let (stdin, stdout) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        let size = file.metadata().unwrap().len();
        let ram = GuestRam::new(file.as_fd(), size).unwrap();
        let mut writer = Self {
            child,
            stdin,
            stdout,
            ram,
            file,
            handed,
        };
        writer.run("pages");
        drop(path);
        writer
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The userfaultfd that the shim handed over, once.
    pub fn uffd(&mut self) -> Option<OwnedFd> {
        self.handed.take().map(|handed| {
            assert_eq!(handed.pid, self.pid());
            handed.uffd
        })
    }

    /// KiB of page tables that the process has (proc_pid_status(5)).
    pub fn page_tables(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
        line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Evaluates a Python expression in the process and waits for its value.
    pub fn run(&mut self, expression: &str) -> String {
        writeln!(self.stdin, "{expression}").unwrap();
        let mut answer = String::new();
        assert_ne!(
            self.stdout.read_line(&mut answer).unwrap(),
            0,
            "the writer died at {expression}"
        );
        answer.trim().to_owned()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Follows the RAM by copying what the tracker reports, after it was reported. Touches nothing else.
pub struct Follower {
    copy: Vec<[u8; PAGE]>,
}

impl Follower {
    pub fn new(ram: &GuestRam) -> Self {
        let mut follower = Self {
            copy: vec![[0; PAGE]; ram.pages() as usize],
        };
        follower.follow(ram, &ram.used().unwrap());
        follower
    }

    pub fn follow(&mut self, ram: &GuestRam, pages: &PageSet) {
        for page in pages.runs().flatten() {
            ram.read_page(page, &mut self.copy[page as usize]).unwrap();
        }
    }

    pub fn differing(&self, ram: &GuestRam) -> Vec<u64> {
        let mut page = [0; PAGE];
        let differs = |index: &u64| {
            ram.read_page(*index, &mut page).unwrap();
            page != self.copy[*index as usize]
        };
        ram.used().unwrap().runs().flatten().filter(differs).collect()
    }
}

/// Who connects; a test fails when nobody does.
pub fn connection(listener: &UnixListener) -> UnixStream {
    let timeout = Timespec::try_from(DEADLINE).unwrap();
    let mut waiting = [PollFd::new(listener, PollFlags::IN)];
    let ready = retry_on_intr(|| poll(&mut waiting, Some(&timeout))).unwrap();
    assert_eq!(ready, 1, "nobody connected within {DEADLINE:?}");
    listener.accept().unwrap().0
}

/// `None` when the kernel gives no userfaultfd to the process.
pub fn accept(listener: &UnixListener) -> Option<HandedOver> {
    match receive_uffd(&connection(listener), Instant::now() + DEADLINE) {
        Ok(handed) => Some(handed),
        Err(colo_ram::Error::Shim(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The interpreter itself: what is on the PATH may be a script, which would take the shim's message for itself.
fn python() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The shim, compiled once per test run.
pub fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/shim/uffd_shim.c");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-{}.so", std::process::id()));
        let warnings = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
        let status = Command::new("cc")
            .args(warnings)
            .args(["-shared", "-fPIC", "-o"])
            .arg(&target)
            .arg(source)
            .status();
        assert!(status.unwrap().success());
        target
    })
}
