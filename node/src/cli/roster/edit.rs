//! Changing a roster: new members, and who is above and beside whom. No files, no keys.

use config::Territory;
use protocol::ids::{Code, MemberId, Millis};
use protocol::roster::{Member, Role, RosterBody, RosterChain};

/// Somebody who asked to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// As the request says, without relations.
    pub member: Member,
    /// The name of the office above it, as the request says.
    pub under: Option<String>,
}

/// Why a roster was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// Two members with one id or one name.
    #[error("there is a member called “{0}” already, or one with its keys")]
    Twice(String),
    /// Nobody of that name above it.
    #[error("“{member}” should stand under “{under}”, but no aggregator of that name is listed")]
    NoAuthority {
        /// Who.
        member: String,
        /// Under whom.
        under: String,
    },
}

/// The version that follows the head, equal to it but for number and dates.
pub(crate) fn next_version(chain: &RosterChain, issued: Millis, lasts: Millis) -> RosterBody {
    let mut previous = chain.forks();
    previous.retain(|hash| chain.get(hash).is_some_and(|fork| fork.version == chain.head().version));
    previous.push(chain.head().hash());
    RosterBody {
        federation: chain.federation(),
        version: chain.head().version + 1,
        previous,
        issued,
        expires: issued.plus(lasts),
        ..(**chain.head()).clone()
    }
}

/// Lists the candidates: each under the office that its request names, or else under `under`, and
/// beside every member whose territory touches its own.
pub(crate) fn admit(
    body: &mut RosterBody,
    candidates: Vec<Candidate>,
    under: Option<&str>,
) -> Result<(), EditError> {
    let mut wishes = Vec::new();
    for candidate in candidates {
        let Candidate { member, under: wish } = candidate;
        if body.members.iter().any(|other| other.id == member.id || other.name == member.name) {
            return Err(EditError::Twice(member.name));
        }
        wishes.push((member.id, wish.or_else(|| under.map(str::to_owned))));
        body.members.push(member);
    }
    for (id, wish) in wishes {
        relate(body, id);
        let Some(wish) = wish else { continue };
        let above =
            body.members.iter().find(|m| m.name == wish && m.roles.has(Role::Aggregator) && m.id != id);
        let above = above.map(|above| above.id);
        if let Some(member) = body.members.iter_mut().find(|member| member.id == id) {
            member.authority = above;
            if above.is_none() {
                return Err(EditError::NoAuthority { member: member.name.clone(), under: wish });
            }
        }
    }
    Ok(())
}

/// Makes a member the neighbour of all whose territory touches its own, and them its neighbours.
fn relate(body: &mut RosterBody, id: MemberId) {
    let Some(member) = body.members.iter().find(|member| member.id == id) else { return };
    let territory = Territory::built_in();
    let touched: Vec<Code> = member.codes.iter().flat_map(|code| territory.neighbours(*code)).collect();
    let mut neighbours = Vec::new();
    for other in body.members.iter_mut().filter(|other| other.id != id) {
        if other.codes.iter().any(|code| touched.contains(code)) {
            neighbours.push(other.id);
            other.neighbours.push(id);
            other.neighbours.sort_unstable();
            other.neighbours.dedup();
        }
    }
    if let Some(member) = body.members.iter_mut().find(|member| member.id == id) {
        member.neighbours.extend(neighbours);
        member.neighbours.sort_unstable();
        member.neighbours.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::FederationId;

    fn candidate(seed: u8, name: &str, role: Role, code: Option<u32>, under: Option<&str>) -> Candidate {
        let mut member = Member::new(MemberId([seed; 32]), name, &[role]);
        member.codes = code.map(Code::chile).into_iter().collect();
        Candidate { member, under: under.map(str::to_owned) }
    }

    fn empty() -> RosterBody {
        RosterBody {
            federation: FederationId([0; 32]),
            version: 1,
            previous: vec![],
            threshold: 1,
            root_keys: vec![],
            issued: Millis(1),
            expires: Millis(2),
            rules_version: 1,
            members: vec![],
        }
    }

    #[test]
    fn candidates_stand_under_their_office_and_beside_whom_they_touch() {
        let mut body = empty();
        let towns = vec![
            candidate(1, "San Miguel", Role::Municipal, Some(13130), Some("Sur")),
            candidate(2, "Sur", Role::Aggregator, None, None),
            candidate(3, "La Pintana", Role::Municipal, Some(13112), None),
        ];
        admit(&mut body, towns, Some("Sur").filter(|_| false)).unwrap();
        let joined = vec![candidate(4, "San Joaquín", Role::Municipal, Some(13129), None)];
        admit(&mut body, joined, Some("Sur")).unwrap();
        let of = |seed: u8| body.members.iter().find(|m| m.id == MemberId([seed; 32])).unwrap().clone();
        assert_eq!((of(1).authority, of(4).authority), (Some(MemberId([2; 32])), Some(MemberId([2; 32]))));
        assert_eq!((of(1).neighbours, of(4).neighbours), (vec![MemberId([4; 32])], vec![MemberId([1; 32])]));
        assert_eq!((of(3).authority, of(3).neighbours), (None, vec![]));
    }

    #[test]
    fn nobody_is_listed_twice_or_under_a_stranger() {
        let mut body = empty();
        admit(&mut body, vec![candidate(1, "San Miguel", Role::Municipal, None, None)], None).unwrap();
        let again = vec![candidate(2, "San Miguel", Role::Municipal, None, None)];
        assert_eq!(admit(&mut body, again, None), Err(EditError::Twice("San Miguel".into())));
        let lost = vec![candidate(3, "La Granja", Role::Municipal, None, Some("San Miguel"))];
        assert!(matches!(admit(&mut body, lost, None), Err(EditError::NoAuthority { .. })));
    }
}
