//! One thread per connection, a limited number of them.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Stack of a connection's thread, bytes.
const STACK: usize = 256 * 1024;

/// Counts connections. At the limit nothing is refused, which a client could see and two copies could do at different
/// moments: the connection waits in the kernel's backlog until another one ends.
pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    pub fn new(limit: usize) -> Self {
        Self {
            free: Mutex::new(limit),
            freed: Condvar::new(),
        }
    }

    fn take(self: &Arc<Self>) -> Slot {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(Arc::clone(self))
    }
}

/// A connection's place; given back when dropped.
struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Accepts for ever in a thread of its own and calls `handle` for every connection. A connection's error ends that
/// connection only.
pub fn spawn<H>(name: &str, listener: TcpListener, slots: Arc<Slots>, handle: H) -> io::Result<JoinHandle<()>>
where
    H: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    let handle = Arc::new(handle);
    spawn_plain(name, move || {
        loop {
            let slot = slots.take();
            let Ok((stream, _)) = listener.accept() else {
                continue;
            };
            let handle = Arc::clone(&handle);
            let serve = move || {
                let _slot = slot;
                // Small answers must not wait for the acknowledgement of earlier ones.
                let _ = stream.set_nodelay(true).and_then(|()| handle(&stream));
            };
            // Without memory for a thread the connection is dropped, and with it the slot.
            let _ = Builder::new().stack_size(STACK).spawn(serve);
        }
    })
}

/// A named thread.
pub fn spawn_plain(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(body)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::time::Duration;

    /// Helpers of all services' tests.
    pub mod connect {
        use super::*;
        use std::net::{Shutdown, SocketAddr};

        /// Serves `handle` on a free port.
        pub fn listen<H>(handle: H) -> SocketAddr
        where
            H: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            spawn("test", listener, Arc::new(Slots::new(8)), handle).unwrap();
            address
        }

        /// Sends all, ends the sending side, and returns what the service says until it ends.
        pub fn talk(address: SocketAddr, bytes: &[u8]) -> String {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            // A service that gives up with input unread resets the connection.
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        }
    }

    #[test]
    fn at_the_limit_a_connection_waits_until_another_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn("test", listener, Arc::new(Slots::new(1)), |mut stream| {
            stream.write_all(b"!")?;
            stream.read(&mut [0; 1]).map(|_| ())
        })
        .unwrap();
        let mut byte = [0; 1];
        let mut first = TcpStream::connect(address).unwrap();
        first.read_exact(&mut byte).unwrap();
        let mut second = TcpStream::connect(address).unwrap();
        second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(second.read_exact(&mut byte).is_err(), "served beyond the limit");
        drop(first);
        second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        second.read_exact(&mut byte).unwrap();
    }
}
