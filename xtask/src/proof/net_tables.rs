//! The kernel's tables of a network: which addresses and routes there are. Pure but for what reads the tables.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

/// The most addresses that the probe tries: a host may have thousands, and one way out serves them all.
const MOST: usize = 6;

/// The texts of `/proc/PID/net/…` of the container's init.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetTables {
    /// `route`: the routes of IPv4.
    pub(crate) route: String,
    /// `fib_trie`: every local address of IPv4.
    pub(crate) fib_trie: String,
    /// `if_inet6`: every address of IPv6; empty where the kernel has none.
    pub(crate) if_inet6: String,
}

impl NetTables {
    pub(super) fn read(text: impl Fn(&str) -> Option<String>) -> Option<NetTables> {
        Some(NetTables {
            route: text("net/route")?,
            fib_trie: text("net/fib_trie")?,
            if_inet6: text("net/if_inet6").unwrap_or_default(),
        })
    }

    /// The interfaces that IPv4 has a route through.
    pub(super) fn routes(&self) -> BTreeSet<&str> {
        self.route.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
    }

    /// The addresses that are not the loopback device's own.
    pub(super) fn addresses(&self) -> Vec<String> {
        let four = local_addresses(&self.fib_trie).into_iter();
        let six = self.if_inet6.lines().filter_map(six).filter(|(_, interface)| *interface != "lo");
        four.chain(six.map(|(address, _)| address)).collect()
    }
}

/// The addresses of this host that an attempt from inside is directed at.
pub(crate) fn addresses_of_this_host() -> Vec<String> {
    let text = |name| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    tried(&text("fib_trie"), &text("if_inet6"))
}

/// All addresses of this host, but for those of IPv4's loopback network.
pub(crate) fn own_addresses() -> BTreeSet<IpAddr> {
    let text = |name| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    let (four, six_text) = (local_addresses(&text("fib_trie")), text("if_inet6"));
    let six = six_text.lines().filter_map(six).map(|(address, _)| address);
    four.into_iter().chain(six).filter_map(|address| address.parse().ok()).collect()
}

/// Of all addresses at most half are of IPv6.
fn tried(fib_trie: &str, if_inet6: &str) -> Vec<String> {
    // An address that is valid on one link only can be reached by nobody who does not name the link.
    let global = if_inet6
        .lines()
        .filter_map(six)
        .filter(|(address, interface)| *interface != "lo" && !address.starts_with("fe80:"));
    let global: Vec<String> = global.map(|(address, _)| address).take(MOST / 2).collect();
    let four = local_addresses(fib_trie).into_iter().take(MOST - global.len());
    four.chain(global).collect()
}

/// The local addresses of IPv4 in `fib_trie`, without those of the loopback device: each stands on the line before its
/// `/32 host LOCAL`.
fn local_addresses(fib_trie: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = fib_trie.lines().map(str::trim).collect();
    let local = lines.windows(2).filter(|pair| pair[1] == "/32 host LOCAL");
    let addresses = local.filter_map(|pair| pair[0].strip_prefix("|-- "));
    addresses.filter(|address| !address.starts_with("127.")).map(str::to_owned).collect()
}

/// An address of IPv6 and its interface, from a line of `if_inet6`.
fn six(line: &str) -> Option<(String, &str)> {
    let mut fields = line.split_whitespace();
    let digits = fields.next().filter(|digits| digits.len() == 32 && digits.is_ascii())?;
    let groups: Vec<&str> = (0..32).step_by(4).map(|at| &digits[at..at + 4]).collect();
    Some((groups.join(":"), fields.nth(4)?))
}

/// For the fuzzer. No address of the loopback device alone is ever one at which the host can be reached.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let (route, fib_trie, if_inet6) = (text.to_owned(), text.to_owned(), text.to_owned());
    let tables = NetTables { route, fib_trie, if_inet6 };
    tables.routes();
    assert!(tables.addresses().iter().all(|address| !address.starts_with("127.")));
}

/// `fib_trie` of a container that has the loopback device alone.
#[cfg(test)]
pub(super) const ALONE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\nLocal:\n  +-- 127.0.0.0/8 2 0 2\n     \
                         +-- 127.0.0.0/31 1 0 0\n        |-- 127.0.0.0\n           /8 host LOCAL\n        |-- 127.0.0.1\n           \
                         /32 host LOCAL\n     |-- 127.255.255.255\n        /32 link BROADCAST\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_host_are_read() {
        let text = format!(
            "{ALONE}     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n"
        );
        assert_eq!(local_addresses(&text), BTreeSet::from(["10.0.0.5".to_owned()]));
        let line = "20010db8000000000000000000000001 02 40 00 80     eth0";
        assert_eq!(six(line), Some(("2001:0db8:0000:0000:0000:0000:0000:0001".into(), "eth0")));
        assert_eq!(six("short"), None);
    }

    #[test]
    fn what_the_probe_tries_are_addresses_of_both_kinds_that_others_can_reach() {
        let four = |n: usize| -> String {
            (1..=n).map(|i| format!("     |-- 10.0.0.{i}\n        /32 host LOCAL\n")).collect()
        };
        let line = |address: String, interface: &str| format!("{address} 02 40 00 80     {interface}\n");
        let six = |n: usize| (1..=n).map(|i| line(format!("20010db8{i:024}"), "eth0")).collect::<String>();
        let kinds = |four: &str, six: &str| {
            let tried = tried(four, six);
            let of_six = tried.iter().filter(|address| address.contains(':')).count();
            (tried.len() - of_six, of_six)
        };
        assert_eq!(kinds(&four(9), &six(9)), (3, 3));
        assert_eq!(kinds(&four(9), &six(1)), (5, 1));
        assert_eq!(kinds(&four(1), &six(9)), (1, 3));
        let own = line(format!("{:032}", 1), "lo") + &line(format!("fe80{:028}", 1), "eth0");
        assert_eq!(tried(ALONE, &own), Vec::<String>::new(), "of the machine alone, and of one link alone");
        assert_eq!(tried(&four(1), ""), ["10.0.0.1"]);
    }

    #[test]
    fn without_the_tables_of_version_4_nothing_is_seen() {
        let of = |missing: &'static str| NetTables::read(|name| (name != missing).then(|| name.to_owned()));
        let all =
            NetTables { route: "net/route".into(), fib_trie: "net/fib_trie".into(), if_inet6: "net/if_inet6".into() };
        assert_eq!(of(""), Some(all.clone()));
        assert_eq!((of("net/route"), of("net/fib_trie")), (None, None));
        assert_eq!(of("net/if_inet6"), Some(NetTables { if_inet6: String::new(), ..all }), "a kernel without it");
    }
}
