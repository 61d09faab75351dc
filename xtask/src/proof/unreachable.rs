//! The claim that nothing of the host can be reached where no network was promised: by the attempts of the probe, and by
//! the tables of the container's network as the host sees them.

use super::claim::{Draft, some};
use super::probe::{InsideWitness, Outside};
use super::witness::HostWitness;
use crate::finding::Finding;

pub(super) fn judge(inside: &InsideWitness, host: &HostWitness) -> Finding {
    let mut draft = Draft::new("network.unreachable", "no address of this host can be reached from inside")
        .hint("recreate the container: `cargo xtask down`, then `cargo xtask sandbox`");
    let tried = &inside.outside;
    let reached: Vec<String> = tried.iter().filter(|one| one.reached()).map(text).collect();
    draft.inside(format!("{} attempts, reached: {}", tried.len(), some(&reached)));
    draft.check(reached.is_empty(), || format!("inside this was reached: {}", some(&reached)));
    if !tried.iter().any(|one| one.way == "connect") {
        draft.unseen("the probe has tried no address of this host");
    }
    match &host.kernel.network {
        None => draft.unseen("the host cannot see the tables of the container's network"),
        Some(tables) => {
            let (routes, addresses) = (tables.routes(), tables.addresses());
            draft.host(format!("routes through: {}; addresses: {}", some(&routes), some(&addresses)));
            draft
                .check(routes.iter().all(|name| *name == "lo"), || format!("it has a route through {}", some(&routes)));
            draft.check(addresses.is_empty(), || format!("it has the address {}", some(&addresses)));
        }
    }
    draft.done()
}

fn text(one: &Outside) -> String {
    let by = one.interface.as_ref().map_or(String::new(), |name| format!(" by {name}"));
    format!("{} ({}{by}: {})", one.to, one.way, one.answer)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::good;
    use super::super::net_tables::{ALONE, NetTables, addresses_of_this_host};
    use super::*;
    use crate::finding::Verdict;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const LOOPBACK: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";

    fn tried(way: &str, interface: Option<&str>, answer: &str) -> Outside {
        let interface = interface.map(str::to_owned);
        Outside { way: way.into(), interface, to: "172.17.0.1".into(), answer: answer.into() }
    }

    fn without_a_network() -> (InsideWitness, HostWitness) {
        let (_, mut inside, mut host) = good();
        inside.outside = vec![
            tried("connect", None, "ENETUNREACH"),
            tried("connect", Some("lo"), "silence"),
            tried("IP_PKTINFO", Some("lo"), "sent"),
            tried("broadcast", None, "ENETUNREACH"),
        ];
        let (route, fib_trie, if_inet6) = (ROUTE.into(), ALONE.into(), LOOPBACK.into());
        host.kernel.network = Some(NetTables { route, fib_trie, if_inet6 });
        (inside, host)
    }

    #[test]
    fn a_container_with_the_loopback_device_alone_reaches_nothing() {
        let (inside, host) = without_a_network();
        assert_eq!(judge(&inside, &host).why, None);
        assert!(!addresses_of_this_host().iter().any(|address| address.starts_with("127.")));
    }

    #[test]
    fn whatever_answers_or_leads_out_breaks_the_claim() {
        for attempt in [
            tried("connect", None, "ECONNREFUSED"),
            tried("connect", Some("tunl0"), "connected"),
            tried("IP_PKTINFO", Some("tunl0"), "sent"),
            tried("broadcast", None, "sent"),
        ] {
            let (mut inside, host) = without_a_network();
            inside.outside.push(attempt.clone());
            assert_eq!(judge(&inside, &host).verdict, Verdict::Broken, "{attempt:?}");
        }
        let changes: [fn(&mut NetTables); 3] = [
            |tables| tables.route.push_str("eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"),
            |tables| tables.fib_trie.push_str("        |-- 172.17.0.2\n           /32 host LOCAL\n"),
            |tables| tables.if_inet6.push_str("fe80000000000000004211fffe110002 02 40 20 80     eth0\n"),
        ];
        for (number, change) in changes.iter().enumerate() {
            let (inside, mut host) = without_a_network();
            change(host.kernel.network.as_mut().unwrap());
            assert_eq!(judge(&inside, &host).verdict, Verdict::Broken, "change {number}");
        }
    }

    #[test]
    fn what_was_not_tried_or_not_seen_is_not_provable() {
        let (mut inside, host) = without_a_network();
        inside.outside.clear();
        assert_eq!(judge(&inside, &host).verdict, Verdict::NotProvable);
        let (inside, mut host) = without_a_network();
        host.kernel.network = None;
        assert_eq!(judge(&inside, &host).verdict, Verdict::NotProvable);
    }

    #[test]
    fn what_was_reached_is_told_with_the_way_that_led_there() {
        let (mut inside, host) = without_a_network();
        inside.outside.push(tried("connect", Some("eth0"), "connected"));
        inside.outside.push(tried("broadcast", None, "sent"));
        let claim = judge(&inside, &host);
        let reached = "`172.17.0.1 (connect by eth0: connected)`";
        assert!(claim.why.as_ref().is_some_and(|why| why.starts_with("inside this was reached: ")), "{claim:?}");
        assert!(claim.why.as_ref().is_some_and(|why| why.contains(reached)), "{claim:?}");
        inside.outside.retain(|one| one.way != "connect" && one.interface.is_some());
        assert_eq!(judge(&inside, &host).verdict, Verdict::NotProvable, "nothing was connected to");
    }
}
