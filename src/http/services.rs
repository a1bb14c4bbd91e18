//! What services behind a listener keep: nobody here can go through it. An erasure's receipt says so, a re-keying leaves the
//! secrets that may still open it, and an export names what it could not read.

use crate::policy::model::{Policy, Protect, Route};
use crate::protect::places::{Answer, Erased, Fence, Places, Rekeyed, Replaced, Resealed, Swept};
use std::sync::Arc;

/// The service behind one listener.
pub struct Services {
    listener: String,
    policy: Arc<Policy>,
    routes: Vec<Route>,
}

impl Services {
    /// Of the routes `number` of the policy.
    pub fn new(listener: String, policy: Arc<Policy>, number: usize) -> Self {
        let routes = policy.http.get(number).cloned().unwrap_or_default();
        Self { listener, policy, routes }
    }

    /// Routes through which values of subjects of that class are stored; `sealed`: such as lie under their keys.
    fn stored(&self, class: &str, sealed: bool) -> Vec<String> {
        let counts = |field| !sealed || self.policy.field(field).protect == Protect::Encrypt;
        let stores = |route: &&Route| {
            let place = route.places.iter().any(|p| !p.find && *p.owner.class == *class && counts(p.field));
            let body = route.body.as_ref().is_some_and(|b| *b.owner.class == *class && counts(b.field));
            place || body
        };
        let mut paths: Vec<String> = self
            .routes
            .iter()
            .filter(stores)
            .map(|route| format!("http {} {}", self.listener, route.path))
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// As exports name what they did not read.
    pub fn unread(&self, class: &str) -> Vec<(String, String)> {
        let why = "what the service behind this route keeps can only be asked for by its own clients, through the gateway";
        self.stored(class, false).into_iter().map(|place| (place, why.to_owned())).collect()
    }
}

impl Places for Services {
    fn overwrite<'a>(
        &'a self,
        erased: &'a [Erased],
        _fence: &'a dyn Fence,
    ) -> Answer<'a, Result<Vec<Swept>, String>> {
        let none = vec![Swept::default(); erased.len()];
        Box::pin(async move { Ok(none) })
    }

    /// Never over where a service may keep the token for somebody: it stands for the identifier as long as that is so.
    fn replace<'a>(&'a self, replaced: &'a Replaced, _: &'a dyn Fence) -> Answer<'a, Result<bool, String>> {
        let of_domain = |field| match &self.policy.field(field).protect {
            Protect::Pseudonym { domain, .. } => **domain == *replaced.domain,
            Protect::Encrypt => false,
        };
        let kept = self.routes.iter().flat_map(|route| &route.places).any(|place| {
            !place.find
                && of_domain(place.field)
                && replaced.holders.iter().any(|h| h.class == place.owner.class)
        });
        Box::pin(async move { Ok(!kept) })
    }

    fn reseal<'a>(&'a self, _: &'a Rekeyed) -> Answer<'a, Result<Resealed, String>> {
        Box::pin(async { Ok(Resealed { over: true, ..Resealed::default() }) })
    }

    fn keeps(&self, class: &str) -> Vec<(String, String)> {
        let why = "the gateway can't change what a service behind it keeps";
        self.stored(class, true).into_iter().map(|place| (place, why.to_owned())).collect()
    }

    fn forget(&self, _: &str) {}
}
