package audit

import "fmt"

// Key names a field of an event. The vocabulary is closed and typed: a key fixes the kind of its value and whether the
// value is personal. Clear keys (below 128) carry numbers, times, ids, states from Postern's own vocabulary, digests and
// UID ranges. Personal keys (from 128 on) carry what a person or a message said; they may appear only in Event.Personal,
// which is sealed and of which the leaf holds a commitment. Numbers are stable for ever, as those of verbs.
type Key uint16

// firstPersonal is the lowest number of a personal key.
const firstPersonal Key = 128

// Clear keys.
const (
	KeyCount       Key = 1  // int: how many
	KeySize        Key = 2  // int: bytes
	KeyUID         Key = 3  // int: the UID that a stored message got, in Event.Mailbox
	KeyUIDs        Key = 4  // set: the UIDs that were read, flagged, copied or removed, in Event.Mailbox
	KeyToUIDs      Key = 5  // set: the UIDs given by a copy or a move, in KeyToMailbox
	KeyToMailbox   Key = 6  // id: the mailbox that a copy or a move went to
	KeyMailboxRole Key = 7  // word: inbox, sent, drafts, trash, archive, outbox, other
	KeyModSeq      Key = 8  // int: the mailbox's modification sequence after the change
	KeyFlags       Key = 9  // flags: system flags and registered keywords, separated by spaces
	KeyFlagOp      Key = 10 // word: add, remove, replace
	KeyClass       Key = 11 // word: what was revealed: envelope, structure, header, text, body, part, search
	KeyRule        Key = 12 // word: the named rule that decided
	KeyCode        Key = 13 // int: reply code (RFC 5321, section 4.2)
	KeyEnhanced    Key = 14 // word: enhanced status code (RFC 3463)
	KeyTLS         Key = 15 // word: TLS version
	KeyCipher      Key = 16 // word: TLS cipher suite
	KeyMechanism   Key = 17 // word: SASL mechanism
	KeyDoor        Key = 18 // word: mx, submission, submissions, imap, panel, control
	KeySHA256      Key = 19 // digest: of the message's bytes
	KeyVerdict     Key = 20 // word: the verdict on a message
	KeyScore       Key = 21 // int: score in thousandths
	KeyAttempts    Key = 22 // int: attempts so far
	KeyNext        Key = 23 // time: of the next attempt
	KeyMillis      Key = 24 // int: duration in milliseconds
	KeyScope       Key = 25 // word, repeated: inbox id and verbs
	KeyExpires     Key = 26 // time: the end of a credential, a hold, a lease
	KeyFirst       Key = 27 // time: first of an aggregate
	KeyLast        Key = 28 // time: last of an aggregate
	KeyEnvironment Key = 29 // word: live, test
	KeyState       Key = 30 // word: the state after the change
	KeyVersion     Key = 31 // word: version of the software
	KeySchema      Key = 32 // int: version of the database schema
	KeyStepMillis  Key = 33 // int: how far the clock moved, in milliseconds, negative when back
	KeyMessage     Key = 34 // id: a message
	KeyOutgoing    Key = 35 // id: a message in the queue
	KeyRecipients  Key = 36 // int: how many recipients
	KeySelector    Key = 37 // word: DKIM selector
	KeyAlgorithm   Key = 38 // word: algorithm of a key or signature
	KeyKeyID       Key = 39 // word: public id of a key
	KeyRoot        Key = 40 // digest: root of a tree
	KeyTreeSize    Key = 41 // int: size of a tree
	KeyFromSeq     Key = 42 // int: first sequence number of a range
	KeyToSeq       Key = 43 // int: the sequence number after a range
	KeyFiltered    Key = 44 // bool: whether a list or an export was filtered
	KeySPF         Key = 45 // word: SPF result (RFC 8601)
	KeyDKIM        Key = 46 // word: DKIM result (RFC 8601)
	KeyDMARC       Key = 47 // word: DMARC result (RFC 8601)
	KeyPort        Key = 48 // int: TCP port
	KeyUIDValidity Key = 49 // int: of a new mailbox
	KeyTrace       Key = 50 // word: the trace id that a peer was told
	KeyFormat      Key = 51 // word: jsonl, csv, table
	KeyCommand     Key = 52 // word: the protocol command that was refused
	KeyTruncated   Key = 53 // bool: a personal text was cut at MaxText
	KeyInbox       Key = 54 // id: another inbox than Event.Inbox
	KeyRootKeyID   Key = 55 // word: public id of the root key
	KeyPurpose     Key = 56 // word: what a key is for
	KeyCredential  Key = 57 // id: another credential than Event.Credential
	KeyKind        Key = 58 // word: what a freeze is of: credential, agent, domain, organization, all; the kind of an alert
	KeyOpen        Key = 59 // int: sessions that were cut and had not ended when the event was written
	KeyLevel       Key = 60 // word: the level of a policy: organization, domain, agent, credential, inbox
	KeyRetry       Key = 61 // int: seconds until a limit has room again
	KeySetting     Key = 62 // word: the key of a policy that was set
	KeyRole        Key = 65 // word, repeated: a role that a person has after the change
	KeyFactor      Key = 66 // word: the second factor that was shown: totp, recovery, none
	KeyNeed        Key = 67 // int: how many people an act needs
	KeySession     Key = 68 // id: another session than the actor's
	KeyAct         Key = 69 // word: an act reserved for people
	KeyAbout       Key = 85 // id: what an alert is about beyond its agent, credential and inbox

	// Of a submission: what the agent declares, and what the server knows.
	KeyTrigger       Key = 75 // word: what caused a send: message, schedule, user, event, agent
	KeyTriggerBy     Key = 76 // word: declared by the agent, or derived from what the message answers
	KeyOrigin        Key = 77 // word: how the content came about, as declared: generated, templated, human, mixed
	KeyRemark        Key = 78 // word, repeated: what is worth knowing of a declaration or of the content, and is no contradiction
	KeyContradiction Key = 79 // word, repeated: a declaration that differs from what the server knows
	KeyAnswers       Key = 80 // id: the stored message that a submission answers
	KeyAnswersSHA256 Key = 81 // digest: of that message's bytes
	KeyReads         Key = 82 // set: sequence numbers of the reads by the agent that came before, up to 2^32-1
	KeyQuotes        Key = 83 // id, repeated: a stored message with which the content has text in common
	KeyShare         Key = 84 // int, one for each KeyQuotes: how much of the content stands in it, in percent

	KeyPersons Key = 71 // int: how many people must agree
	KeySince   Key = 72 // time: since when something lasts

	KeyDelivery  Key = 88 // id: what a webhook was told
	KeyProof     Key = 90 // word: how ownership of a domain is proved: assumed, challenge, delegation
	KeyNames     Key = 91 // word: who keeps the names of a domain: hand, delegated, dkim, cname
	KeyRecord    Key = 92 // word: type of a record
	KeyWas       Key = 93 // word: the state before the change
	KeyRequired  Key = 94 // bool: mail does not work without it
	KeyFirstTime Key = 86 // int: recipients to whom the inbox had never written

	KeySender    Key = 115 // word: how well the sender of a received message is known: known, own, first, unproven, fails
	KeyPolicy    Key = 114 // word: what the domain in From asks to be done about mail that fails DMARC: none, quarantine, reject
	KeySafeAfter Key = 100 // time: from when the record of a signing key may be removed from the DNS

	// Of a connection to a server outside, and of the policies that decide about it.
	KeyTLSPolicy  Key = 104 // word: the policy of the destination that applied: none, sts, tlsa
	KeyTLSProof   Key = 105 // word: what authenticated the host: none, pkix, sts, dane
	KeyTLSFailure Key = 106 // word: result type of RFC 8460, section 4.3
	KeyTLSDemand  Key = 107 // word: what forbade a connection without authenticated TLS: requiretls, policy, sts, dane, smarthost; none: the message sets aside what the destination demands
	KeyMode       Key = 108 // word: mode of an MTA-STS policy: enforce, testing, none
	KeyMaxAge     Key = 109 // int: for how many seconds an MTA-STS policy may be kept
)

// Clear keys of the server's own certificates.
const (
	KeyAuthority   Key = 110 // word: the authority of a certificate, by the host of its directory
	KeyFingerprint Key = 111 // digest: SHA-256 of a certificate
	KeyNotAfter    Key = 112 // time: the end of a certificate
	KeyChallenge   Key = 113 // word: how the authority was convinced: http-01, tls-alpn-01, dns-01
)

// Clear keys of the injection scorer.
const (
	KeyModel  Key = 120 // word: version of model and rules
	KeyReason Key = 121 // word: why a message scored as it did, of a closed list; repeated
)

// Clear keys of the safe view.
const (
	KeyRendition Key = 124 // int: version of what made the rendition for the safe view
	KeyView      Key = 125 // word: what a credential is shown of messages: original, safe
)

// Clear keys of how people show who they are.
const (
	KeyPasskey Key = 117 // id: a passkey
	KeyModelID Key = 118 // word: the model of an authenticator, as it says (AAGUID)
	KeySynced  Key = 119 // bool: a passkey may be on several devices of its person
)

// Clear keys of the quarantine, and of what people say of verdicts.
const (
	KeyStep      Key = 126 // word: step of a set-up: name, keys, admin, domain, agent
	KeyLabel     Key = 122 // word: what a person says of a message (injection, harmless), why a sender is allowed, or why a message is read
	KeyAllowance Key = 123 // id: the exception by which a message was let in
)

// Clear keys of people who look into an inbox.
const (
	KeyGlass Key = 127 // id: what lets a person read one message
)

// Personal keys.
const (
	KeyFrom      Key = 128 // envelope sender
	KeyTo        Key = 129 // envelope recipient; repeated
	KeySubject   Key = 130 // Subject of a message
	KeyMessageID Key = 131 // Message-ID of a message
	KeyInReplyTo Key = 132 // Message-ID that a message answers
	KeyAddress   Key = 133 // address of an inbox
	KeyName      Key = 134 // name of an agent, a mailbox, a credential
	KeyNetwork   Key = 135 // network or address of a peer
	KeyText      Key = 136 // free text
	KeyTerms     Key = 137 // what was searched for
	KeyHost      Key = 138 // host that a peer is or claims to be
	KeyDomain    Key = 139 // domain name
	KeyOwner     Key = 140 // person who is responsible
	KeyNote      Key = 141 // purpose of an agent, reason of an act, in the words of a person
	KeyHELO      Key = 142 // argument of EHLO or HELO
	KeyKeywords  Key = 143 // keywords that are not in the closed list of KeyFlags
	KeyResponse  Key = 144 // reply text of another server
	KeyClient    Key = 145 // what a client says it is (IMAP ID)
	KeyBefore    Key = 146 // value before a change
	KeyAfter     Key = 147 // value after a change
	KeyPath      Key = 148 // file name

	KeyTriggerRef Key = 157 // what caused a send, as declared: a Message-ID, a name of a schedule, a person, an event, an agent
	KeyMadeWith   Key = 158 // model or template that the content was made with, as declared
	KeyRun        Key = 159 // the agent's own name of its run, as declared
	KeySource     Key = 160 // Message-ID of a message that went into the content, as declared; repeated
	KeyPerson     Key = 151 // mail address of a person who has an account
	KeyKeyName    Key = 177 // what a person calls a passkey
	KeyAgent      Key = 178 // what a person's browser or command says it is
	KeyReporter   Key = 171 // domain that provably sent a report
	KeyReportID   Key = 172 // id of a report, as its reporter calls it
)

// kind is the type of a key's value, and with it its Go type, its encoding and its JSON.
type kind uint8

const (
	kindNone   kind = iota
	kindInt         // int64
	kindTime        // int64: microseconds since 1970 UTC
	kindBool        // bool
	kindWord        // string of the word alphabet
	kindFlags       // string of known flags separated by spaces
	kindSet         // string: UID ranges in their one normal form
	kindID          // []byte of a UUID
	kindDigest      // []byte
	kindText        // string, any bytes; personal only
)

type keyInfo struct {
	name string
	kind kind
}

var keys = [...]keyInfo{
	KeyCount: {"count", kindInt}, KeySize: {"size", kindInt}, KeyUID: {"uid", kindInt}, KeyUIDs: {"uids", kindSet},
	KeyToUIDs: {"to_uids", kindSet}, KeyToMailbox: {"to_mailbox", kindID}, KeyMailboxRole: {"mailbox_role", kindWord},
	KeyModSeq: {"modseq", kindInt}, KeyFlags: {"flags", kindFlags}, KeyFlagOp: {"flag_op", kindWord},
	KeyClass: {"class", kindWord}, KeyRule: {"rule", kindWord}, KeyCode: {"code", kindInt},
	KeyEnhanced: {"enhanced", kindWord}, KeyTLS: {"tls", kindWord}, KeyCipher: {"cipher", kindWord},
	KeyMechanism: {"mechanism", kindWord}, KeyDoor: {"door", kindWord}, KeySHA256: {"sha256", kindDigest},
	KeyVerdict: {"verdict", kindWord}, KeyScore: {"score", kindInt}, KeyAttempts: {"attempts", kindInt},
	KeyNext: {"next", kindTime}, KeyMillis: {"millis", kindInt}, KeyScope: {"scope", kindWord},
	KeyExpires: {"expires", kindTime}, KeyFirst: {"first", kindTime}, KeyLast: {"last", kindTime},
	KeyEnvironment: {"environment", kindWord}, KeyState: {"state", kindWord}, KeyVersion: {"version", kindWord},
	KeySchema: {"schema", kindInt}, KeyStepMillis: {"step_millis", kindInt}, KeyMessage: {"message", kindID},
	KeyOutgoing: {"outgoing", kindID}, KeyRecipients: {"recipients", kindInt}, KeySelector: {"selector", kindWord},
	KeyAlgorithm: {"algorithm", kindWord}, KeyKeyID: {"key_id", kindWord}, KeyRoot: {"root", kindDigest},
	KeyTreeSize: {"tree_size", kindInt}, KeyFromSeq: {"from_seq", kindInt}, KeyToSeq: {"to_seq", kindInt},
	KeyFiltered: {"filtered", kindBool}, KeySPF: {"spf", kindWord}, KeyDKIM: {"dkim", kindWord},
	KeyDMARC: {"dmarc", kindWord}, KeyPort: {"port", kindInt}, KeyUIDValidity: {"uidvalidity", kindInt},
	KeyTrace: {"trace", kindWord}, KeyFormat: {"format", kindWord}, KeyCommand: {"command", kindWord},
	KeyTruncated: {"truncated", kindBool}, KeyInbox: {"inbox", kindID}, KeyRootKeyID: {"root_key_id", kindWord},
	KeyPurpose: {"purpose", kindWord}, KeyCredential: {"credential", kindID}, KeyKind: {"kind", kindWord}, KeyOpen: {"open", kindInt},
	KeyLevel: {"level", kindWord}, KeyRetry: {"retry", kindInt}, KeySetting: {"setting", kindWord},
	KeyTrigger: {"trigger", kindWord}, KeyTriggerBy: {"trigger_by", kindWord}, KeyOrigin: {"origin", kindWord},
	KeyRemark: {"remark", kindWord}, KeyContradiction: {"contradiction", kindWord}, KeyAnswers: {"answers", kindID},
	KeyAnswersSHA256: {"answers_sha256", kindDigest}, KeyReads: {"reads", kindSet}, KeyQuotes: {"quotes", kindID},
	KeyShare:   {"share", kindInt},
	KeyPersons: {"persons", kindInt}, KeySince: {"since", kindTime},
	KeyRole: {"role", kindWord}, KeyFactor: {"factor", kindWord}, KeyNeed: {"need", kindInt}, KeySession: {"session", kindID}, KeyAct: {"act", kindWord},
	KeyAbout: {"about", kindID}, KeyDelivery: {"delivery", kindID}, KeyFirstTime: {"first_time", kindInt},
	KeyPolicy:    {"policy", kindWord},
	KeySender:    {"sender", kindWord},
	KeySafeAfter: {"safe_after", kindTime},
	KeyProof:     {"proof", kindWord}, KeyNames: {"names", kindWord}, KeyRecord: {"record", kindWord}, KeyWas: {"was", kindWord}, KeyRequired: {"required", kindBool},
	KeyTLSPolicy: {"tls_policy", kindWord}, KeyTLSProof: {"tls_proof", kindWord}, KeyTLSFailure: {"tls_failure", kindWord},
	KeyTLSDemand: {"tls_demand", kindWord}, KeyMode: {"mode", kindWord}, KeyMaxAge: {"max_age", kindInt},

	KeyFrom: {"from", kindText}, KeyTo: {"to", kindText}, KeySubject: {"subject", kindText},
	KeyMessageID: {"message_id", kindText}, KeyInReplyTo: {"in_reply_to", kindText}, KeyAddress: {"address", kindText},
	KeyName: {"name", kindText}, KeyNetwork: {"network", kindText}, KeyText: {"text", kindText},
	KeyTerms: {"terms", kindText}, KeyHost: {"host", kindText}, KeyDomain: {"domain", kindText},
	KeyOwner: {"owner", kindText}, KeyNote: {"note", kindText}, KeyHELO: {"helo", kindText},
	KeyKeywords: {"keywords", kindText}, KeyResponse: {"response", kindText}, KeyClient: {"client", kindText},
	KeyBefore: {"before", kindText}, KeyAfter: {"after", kindText}, KeyPath: {"path", kindText},
	KeyTriggerRef: {"trigger_ref", kindText}, KeyMadeWith: {"made_with", kindText}, KeyRun: {"run", kindText},
	KeySource: {"source", kindText},
	KeyPerson: {"person", kindText}, KeyKeyName: {"passkey_name", kindText}, KeyAgent: {"user_agent", kindText},
	KeyPasskey: {"passkey", kindID}, KeyModelID: {"authenticator_model", kindWord}, KeySynced: {"synced", kindBool},

	KeyAuthority: {"authority", kindWord}, KeyFingerprint: {"fingerprint", kindDigest},
	KeyNotAfter: {"not_after", kindTime}, KeyChallenge: {"challenge", kindWord},
	KeyModel: {"model", kindWord}, KeyReason: {"reason", kindWord},
	KeyRendition: {"rendition", kindInt}, KeyView: {"view", kindWord},
	KeyStep:  {"step", kindWord},
	KeyLabel: {"label", kindWord}, KeyGlass: {"glass", kindID}, KeyAllowance: {"allowance", kindID},
	KeyReporter: {"reporter", kindText}, KeyReportID: {"report_id", kindText},
}

// String returns the key's name, as JSON shows it.
func (k Key) String() string {
	if k.kind() == kindNone {
		return fmt.Sprintf("key(%d)", uint16(k))
	}
	return keys[k].name
}

// Personal reports whether values of the key are personal data, allowed in Event.Personal alone.
func (k Key) Personal() bool { return k >= firstPersonal }

func (k Key) kind() kind {
	if int(k) >= len(keys) {
		return kindNone
	}
	return keys[k].kind
}
