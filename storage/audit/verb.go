package audit

import "fmt"

// Verb says what happened, as "noun.verb". The vocabulary is closed: a leaf whose verb is not in this file does not
// decode. Numbers are part of the canonical bytes, so they are stable for ever: a new verb takes the next free number at
// the end, and the number of one that is no longer written stays taken.
type Verb uint16

// The vocabulary.
const (
	ServerStart     Verb = 1 // the server opened its store and began to accept connections
	ServerStop      Verb = 2 // the server stopped in order; a kill leaves no such event
	ServerHeartbeat Verb = 3 // the process is alive; every 60 s, so that an interval without it is visible
	ClockStep       Verb = 4 // the wall clock moved against the monotonic one
	LogRollback     Verb = 5 // an operator or a restore accepted a tree that does not extend the witnessed checkpoint
	KeyCreate       Verb = 6 // a key was made: of an organization, of an inbox, of the log's signature

	OrganizationCreate Verb = 7  // an organization was created
	DomainAdd          Verb = 8  // a domain was added to an organization
	DomainRemove       Verb = 9  // a domain was removed
	DKIMCreate         Verb = 10 // a DKIM key pair was made for a domain
	InboxCreate        Verb = 11 // an address began to receive mail
	InboxRemove        Verb = 12 // an address stopped receiving mail

	MailboxCreate      Verb = 13 // a mailbox (folder) was created
	MailboxRename      Verb = 14 // a mailbox got another name
	MailboxDelete      Verb = 15 // a mailbox and the messages in it were removed
	MailboxSubscribe   Verb = 16 // a mailbox was put on the list of subscriptions
	MailboxUnsubscribe Verb = 17 // a mailbox was taken off the list of subscriptions

	AgentCreate       Verb = 18 // an agent was created, with its owner
	AgentSuspend      Verb = 19 // an agent may do nothing until it is resumed
	AgentResume       Verb = 20 // a suspended agent may act again
	AgentDecommission Verb = 21 // an agent ended for good
	CredentialCreate  Verb = 22 // a credential was issued
	CredentialRevoke  Verb = 23 // a credential ended before its time

	SessionLogin   Verb = 24 // a credential authenticated
	SessionRefused Verb = 25 // a known credential was refused: wrong scope, expired, revoked, outside its networks
	SessionEnd     Verb = 26 // an authenticated session ended

	MessageReceived  Verb = 27 // a message was stored in a mailbox by delivery
	MessageDuplicate Verb = 28 // a redelivery of a stored message was accepted and not stored again
	MessageRefused   Verb = 29 // a message was refused after its data had been seen, or from an authenticated sender
	MessageSubmitted Verb = 30 // an agent's message was accepted for sending
	MessageAppended  Verb = 31 // a client stored a message in a mailbox (IMAP APPEND)
	MessageCopied    Verb = 32 // messages were copied to another mailbox
	MessageMoved     Verb = 33 // messages were moved to another mailbox
	MessageFlagged   Verb = 34 // flags of messages changed
	MessageExpunged  Verb = 35 // messages were removed from a mailbox
	MessageRead      Verb = 36 // content of messages was revealed
	MessageSearched  Verb = 37 // content of messages decided the answer to a search
	MessageTraced    Verb = 38 // an operator looked at the history of one message

	QueueAttempt    Verb = 39 // one attempt to hand a message to its next hop, not final
	QueueDelivered  Verb = 40 // the next hop accepted a message for a recipient
	QueueFailed     Verb = 41 // a recipient failed for good; the delivery status notification is written with it
	QueueExpired    Verb = 42 // a recipient was given up after the last retry
	QueueRetry      Verb = 43 // an operator asked for an attempt now
	QueueHold       Verb = 44 // a message in the queue was held, or a hold was lifted
	QueueBounce     Verb = 45 // an operator ended a message in the queue with a failure
	NoticeDelivered Verb = 46 // a notice made by the server was stored in an inbox

	StrangersRefused Verb = 47 // refusals of unauthenticated peers, aggregated by network, command and rule
	StorageSwept     Verb = 48 // body files that no row refers to were removed
	AuditExported    Verb = 49 // a range of this log was exported
	AuditListed      Verb = 50 // this log was read by an operator
	CredentialRotate Verb = 51 // a credential got a successor, and its own end was moved forward
	FreezeSet        Verb = 52 // a credential, agent, domain, organization or everything was stopped
	FreezeLift       Verb = 53 // a person lifted a freeze
	InboxErased      Verb = 54 // the key of a removed inbox was destroyed, and its rows are gone

	PersonCreate     Verb = 58 // a person got an account
	PersonChange     Verb = 59 // a person's roles, state, password or second factor changed
	PersonLogin      Verb = 60 // a person's session began
	PersonRefused    Verb = 61 // a known person was not let in, or an act reserved for people was refused
	PersonLogout     Verb = 62 // a person's session ended: logout, revoked, expired
	ConsentGive      Verb = 63 // a person agreed to an act that needs several
	CredentialLeaked Verb = 70 // the token of a credential stood in an outgoing message, which was stopped
	AlertRaise       Verb = 72 // something that somebody should look at happened, or happened twice as often as when it was last said
	AlertAcknowledge Verb = 73 // a person has seen an alert
	WebhookCreate    Verb = 74 // alerts are told to one more place
	WebhookRemove    Verb = 75 // a place that alerts were told to is gone
	WebhookRotate    Verb = 76 // a webhook got a new secret
	WebhookChange    Verb = 77 // a webhook was disabled after long failure, or put to work again
	WebhookAttempt   Verb = 78 // one attempt to tell a webhook something
	NoticeQueued     Verb = 79 // a notice made by the server was put into the queue for an address outside
	PolicySet        Verb = 55 // a setting of a policy got a value
	PolicyUnset      Verb = 56 // a setting of a policy was taken away
	MessageHeld      Verb = 64 // a rule made a submitted message wait for a person
	ApprovalRelease  Verb = 65 // people let a held message go
	ApprovalReject   Verb = 66 // a person refused a held message
	ApprovalExpire   Verb = 67 // nobody decided in time, which is a rejection
	ApprovalViewed   Verb = 68 // a person was shown the content of a held message
	AgentTainted     Verb = 69 // an agent read what may have been written to steer it
	CredentialWaive  Verb = 80 // a person let a credential live longer than policy allows
	CredentialEnding Verb = 81 // a credential nears its end and has no successor
	MessageCaptured  Verb = 82 // what a test credential sent to others than test inboxes was kept here
	CaptureRead      Verb = 83 // an operator looked at what was captured
	CaptureSwept     Verb = 84 // what was captured long ago, or by an inbox that is erased, was removed
	DomainProve      Verb = 90 // ownership of a domain was proved
	DomainNames      Verb = 91 // who keeps the names of a domain was found to be another
	DomainRecord     Verb = 92 // a record of a domain was found in another state than before
	DomainDisplace   Verb = 93 // a domain whose ownership was not proved gave way to who proved it
	CredentialEnd    Verb = 85 // the time of a credential was over while it had sessions

	STSPolicySet  Verb = 102 // the MTA-STS policy of a destination was fetched, for the first time or again
	STSPolicyDrop Verb = 103 // the MTA-STS policy of a destination is not kept any more: it was withdrawn, or has expired

	ReportReceived Verb = 109 // somebody's report about mail or TLS of one of our domains was stored
	ReportSent     Verb = 110 // a report was put into the queue, for a domain that asks for it
	ReportSwept    Verb = 111 // reports that are old, or about domains that are gone, were removed
)

// Verbs of the safe view.
const (
	MessageRendered Verb = 135 // messages got the rendition that credentials with the safe view are shown
)

// Verbs of the server's own certificates.
const (
	CertificateObtain Verb = 105 // a name of this server got its first certificate from an authority
	CertificateRenew  Verb = 106 // a name of this server got another certificate from an authority
	CertificateFail   Verb = 107 // no certificate could be had for a name of this server
	CertificateRemove Verb = 108 // the certificate of a name that this server has no more was removed
)

// Verbs of the injection scorer.
const (
	InjectionReplay Verb = 120 // stored messages were scored again; what would change was told, or was changed
	MessageRescored Verb = 121 // a stored message was judged again, and that is its verdict now
)

// Verbs of the quarantine, and of what people say of verdicts.
const (
	QuarantineRelease Verb = 125 // a person let a message out of quarantine: it is in INBOX, as new mail
	QuarantineReject  Verb = 126 // a person deleted a message that was in quarantine, or it waited for too long
	QuarantineViewed  Verb = 127 // a person was shown what a message in quarantine says
	QuarantineSwept   Verb = 128 // what is noted of the quarantine of an inbox that is erased was removed
	MessageMarked     Verb = 129 // a person said whether a message is an injection
	AllowAdd          Verb = 130 // mail of a sender to an inbox is not put away because of its score
	AllowRemove       Verb = 131 // such an exception was taken away
	InjectionEvaluate Verb = 132 // the messages that people marked were scored, to compare
)

// Verbs of people who look into an inbox.
const (
	GlassOpen     Verb = 155 // a person may read one message, for a while; held: when another person agrees
	GlassViewed   Verb = 156 // a person was shown something of such a message
	GlassEnd      Verb = 157 // such a grant, or the asking for one, was ended before its time
	GlassSwept    Verb = 158 // what is noted of such grants for an inbox that is erased was removed
	MessageListed Verb = 159 // a person was shown which messages are in a mailbox, from whom and to whom
)

// Verbs of the log itself.
const (
	AuditVerified Verb = 140 // the tree was computed anew from all events and compared with what was signed; failed: it differs
)

// Verbs of how people show who they are. Those before 64 have the rest.
const (
	PasskeyAdd     Verb = 142 // a person got a passkey
	PasskeyRemove  Verb = 143 // a passkey was taken away
	PasskeySuspect Verb = 144 // the counter of a passkey went back: it may have been copied, and lets nobody in any more
	PersonRenew    Verb = 145 // a person showed again in a session who they are; the session got another token
	PersonInvite   Verb = 146 // a link was made by which a person begins their account
	PersonWelcome  Verb = 147 // such a link was used, and a session began
)

// Verbs of the rotation of signing keys.
const (
	DKIMPublish Verb = 97  // the record of a signing key was seen in the DNS; failed: it is still, or again, not there
	DKIMSign    Verb = 98  // a signing key signs from now on
	DKIMRetire  Verb = 99  // a signing key signs no more (state retiring), or was destroyed (state retired)
	DKIMRevoke  Verb = 100 // a signing key that somebody else may have was destroyed
	DKIMRotate  Verb = 101 // a person asked for new signing keys
)

// Verbs of the set-up of an installation.
const (
	SetupLink   Verb = 150 // a link was made by which somebody may set this server up
	SetupEnter  Verb = 151 // such a link was used up
	SetupChange Verb = 152 // a step was done, or skipped
	SetupFinish Verb = 153 // the set-up ended
	KeyRecovery Verb = 154 // a recovery key was made, or somebody showed that they keep it
)

// Verbs of backups.
const (
	BackupCreate  Verb = 160 // a copy of everything, sealed as it is, was begun
	BackupVerify  Verb = 161 // a backup was restored elsewhere and held against its log: a drill; failed: problems were found
	BackupRestore Verb = 162 // this is no longer the server that made the backup, but one restored from it
)

// Verbs of what the server finds out about itself.
const (
	AlertResolve Verb = 163 // what an alert was about is over
)

var verbNames = [...]string{
	ServerStart: "server.start", ServerStop: "server.stop", ServerHeartbeat: "server.heartbeat",
	ClockStep: "clock.step", LogRollback: "log.rollback", KeyCreate: "key.create",
	OrganizationCreate: "organization.create", DomainAdd: "domain.add", DomainRemove: "domain.remove",
	DKIMPublish: "dkim.publish", DKIMSign: "dkim.sign", DKIMRetire: "dkim.retire", DKIMRevoke: "dkim.revoke", DKIMRotate: "dkim.rotate",
	DKIMCreate: "dkim.create", InboxCreate: "inbox.create", InboxRemove: "inbox.remove",
	MailboxCreate: "mailbox.create", MailboxRename: "mailbox.rename", MailboxDelete: "mailbox.delete",
	MailboxSubscribe: "mailbox.subscribe", MailboxUnsubscribe: "mailbox.unsubscribe",
	AgentCreate: "agent.create", AgentSuspend: "agent.suspend", AgentResume: "agent.resume",
	AgentDecommission: "agent.decommission", CredentialCreate: "credential.create", CredentialRevoke: "credential.revoke",
	SessionLogin: "session.login", SessionRefused: "session.refused", SessionEnd: "session.end",
	MessageReceived: "message.received", MessageDuplicate: "message.duplicate", MessageRefused: "message.refused",
	MessageSubmitted: "message.submitted", MessageAppended: "message.appended", MessageCopied: "message.copied",
	MessageMoved: "message.moved", MessageFlagged: "message.flagged", MessageExpunged: "message.expunged",
	MessageRead: "message.read", MessageSearched: "message.searched", MessageTraced: "message.traced",
	QueueAttempt: "queue.attempt", QueueDelivered: "queue.delivered", QueueFailed: "queue.failed",
	QueueExpired: "queue.expired", QueueRetry: "queue.retry", QueueHold: "queue.hold", QueueBounce: "queue.bounce",
	NoticeDelivered: "notice.delivered", StrangersRefused: "strangers.refused", StorageSwept: "storage.swept",
	AuditExported: "audit.exported", AuditListed: "audit.listed", AuditVerified: "audit.verified",
	CredentialRotate: "credential.rotate", FreezeSet: "freeze.set", FreezeLift: "freeze.lift",
	InboxErased: "inbox.erased", AlertRaise: "alert.raise", AlertAcknowledge: "alert.acknowledge", AlertResolve: "alert.resolve", NoticeQueued: "notice.queued",
	PolicySet: "policy.set", PolicyUnset: "policy.unset",
	WebhookCreate: "webhook.create", WebhookRemove: "webhook.remove", WebhookRotate: "webhook.rotate",
	WebhookChange: "webhook.change", WebhookAttempt: "webhook.attempt",
	MessageHeld: "message.held", ApprovalRelease: "approval.release", ApprovalReject: "approval.reject",
	ApprovalExpire: "approval.expire", ApprovalViewed: "approval.viewed", AgentTainted: "agent.tainted",
	PersonCreate: "person.create", PersonChange: "person.change", PersonLogin: "person.login",
	PersonRefused: "person.refused", PersonLogout: "person.logout", ConsentGive: "consent.give",
	CredentialLeaked: "credential.leaked",
	PasskeyAdd:       "passkey.add", PasskeyRemove: "passkey.remove", PasskeySuspect: "passkey.suspect",
	PersonRenew: "person.renew", PersonInvite: "person.invite", PersonWelcome: "person.welcome",
	DomainProve: "domain.prove", DomainNames: "domain.names", DomainRecord: "domain.record", DomainDisplace: "domain.displace",
	CredentialWaive: "credential.waive", CredentialEnding: "credential.ending",
	CredentialEnd: "credential.end", MessageCaptured: "message.captured", CaptureRead: "capture.read", CaptureSwept: "capture.swept",
	STSPolicySet: "sts.set", STSPolicyDrop: "sts.drop",

	CertificateObtain: "certificate.obtain", CertificateRenew: "certificate.renew",
	CertificateFail: "certificate.fail", CertificateRemove: "certificate.remove",
	InjectionReplay: "injection.replay", MessageRescored: "message.rescored",
	QuarantineRelease: "quarantine.release", QuarantineReject: "quarantine.reject", QuarantineViewed: "quarantine.viewed",
	MessageRendered: "message.rendered",
	QuarantineSwept: "quarantine.swept", MessageMarked: "message.marked", AllowAdd: "allow.add", AllowRemove: "allow.remove",
	InjectionEvaluate: "injection.evaluate",
	BackupCreate:      "backup.create", BackupVerify: "backup.verify", BackupRestore: "backup.restore",
	ReportReceived: "report.received", ReportSent: "report.sent", ReportSwept: "report.swept",
	SetupLink: "setup.link", SetupEnter: "setup.enter", SetupChange: "setup.change", SetupFinish: "setup.finish", KeyRecovery: "key.recovery",
	GlassOpen: "glass.open", GlassViewed: "glass.viewed", GlassEnd: "glass.end", GlassSwept: "glass.swept",
	MessageListed: "message.listed",
}

var verbsByName = func() map[string]Verb {
	m := make(map[string]Verb, len(verbNames))
	for v, name := range verbNames {
		if name != "" {
			m[name] = Verb(v)
		}
	}
	return m
}()

// String returns the verb's name, such as "message.received".
func (v Verb) String() string {
	if !v.known() {
		return fmt.Sprintf("verb(%d)", uint16(v))
	}
	return verbNames[v]
}

func (v Verb) known() bool { return int(v) < len(verbNames) && verbNames[v] != "" }

// ParseVerb returns the verb of a name.
func ParseVerb(name string) (Verb, bool) {
	v, ok := verbsByName[name]
	return v, ok
}

// Verbs returns the vocabulary in the order of its numbers.
func Verbs() []Verb {
	var all []Verb
	for v := range verbNames {
		if Verb(v).known() {
			all = append(all, Verb(v))
		}
	}
	return all
}
