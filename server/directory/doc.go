// Package directory knows who is who: organizations, their domains, inboxes,
// agents and credentials, people, and who is connected now.
//
// # A login
//
// The login name names the inbox, the secret names the agent. A secret is a
// token of 190 random bits, so it needs no slow hash: what slows an attacker is
// that it cannot be guessed, and what protects the server is the order of the
// questions. A token with a wrong checksum is a typing error and costs nothing.
// Then the peer's network is asked whether it has failed too often lately: by
// network and not by login, so that nobody can lock an agent out from elsewhere.
// Only then the token's keyed hash is looked up, and everything that the
// credential says is held against the attempt. A login that succeeds is in the
// log, flushed, before the door hears of it.
//
// The inbox is searched among those that the credential's scopes name and
// nowhere else: one that exists and is not allowed is never looked at, so it
// answers in the same words and in the same time as one that does not exist.
//
// The token comes in one of four SASL mechanisms, which stand in one place for all
// doors: see [Exchange].
//
// # Revocation and freezing
//
// Revoking acts in memory first: the credential is dead to new logins and its
// sessions are cut before the database is asked. A login that was under way
// meets the dead mark when it wants to enter the registry, so none slips through
// between the two. If the record cannot be written the mark stays. A freeze does
// the same for a credential, an agent, a domain, an organization or everything,
// and is a record that lasts over a restart until a person lifts it. Both wait
// until the doors have let go of the sessions, for a second at the most, so that
// the event can say how many there were and how long it took.
//
// A session also ends by itself: when its credential expires, was rotated and the
// overlap is over, or is older than policy allows; and when it lasted as long as
// policy lets one last. [Terms] say so, of now and not of the login. Run looks
// twice a second.
//
// Rotation is automatic as far as a server can make it: a scheduler asks for
// successors of all that ends soon and puts the secrets where agents read them,
// which is no business of a server that stores none.
//
// # People
//
// Some acts count for nothing unless a person does them: releasing, unfreezing,
// policy, waivers, managing people. A person has roles, and a table says which
// acts each allows ([Allows]). They log in with a password and a code, both
// checked always, for an account that is there as for one that is not; a refusal
// says the same and comes after the same time. A login writes the account, by
// version, so that a code works once. Their sessions are records that are looked
// up for every act: what ends a person, a password or a session ends it now.
//
// Where an act needs two people, [Directory.Consent] collects them, each for
// exactly one act. An admin could make a second person, or take one over by a
// new password; so an account that another made or changed within a day does not
// count, whether it comes first or second.
//
// # Signing keys
//
// The keys of a domain turn by themselves where this server keeps its names, and
// elsewhere when a person or policy says so. What happens next is decided by
// dkim.Next, a pure function; a visit looks at the DNS for what waits to be seen,
// outside of any transaction, and takes one step in each, with its event. When
// somebody looks again is a column, so a restart forgets nothing.
//
// # What waits
//
// Refusals of strangers, ends of sessions and the times of last use are kept in
// memory, bounded, and written together by [Directory.Run].
package directory
