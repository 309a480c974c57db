package policy

import (
	"fmt"
	"time"

	"postern/storage"
)

// Rule names what decided. The zero Rule says that nothing was in the way.
type Rule uint8

// The closed vocabulary.
const (
	None Rule = iota
	SenderNull
	SenderNotInbox
	FromMissing
	FromSeveral
	FromNotInbox
	SenderFieldNotInbox
	HeaderSyntax
	HeaderTooLarge
	MailLoop
	ScopeSend
	AgentInactive
	OverSize
	NoRecipients
	TooManyRecipients
	DomainNotOwned
	TestEnvironment
	LimitMessages
	LimitRecipients
	LimitFirstTime
	LimitSize
	RecipientDenied
	RecipientNotAllowed
	RecipientNoReply
	RecipientOutside
	TriggerMissing
	ContentMissing
	TokenLeaked
	NotApproved
	DMARCFailed
	DMARCUnknown
	FromDomains

	// Those that say where a received message goes.
	InjectionSuspicious
	InjectionQuarantine
	InjectionPartial
	InjectionHard
	InjectionAllowed
	InjectionReportOnly

	// Those that let a message wait for a person.
	HoldAlways
	HoldTaint
	HoldFirstTime
	HoldNewDomain
	HoldAttachment
	HoldRecipients
	HoldForward
	HoldRate
)

const waits = "held for approval"

// rules holds the word of each rule and the reply that its refusal gives: reply
// code (RFC 5321, section 4.2), enhanced status code (RFC 3463) and public text.
var rules = [...]struct {
	word     string
	code     int
	enhanced string
	public   string
}{
	None:                {"none", 250, "2.0.0", "OK"},
	SenderNull:          {"sender-null", 550, "5.7.1", "a submission needs a sender address"},
	SenderNotInbox:      {"sender-not-inbox", 550, "5.7.1", "sender address does not belong to this login"},
	FromMissing:         {"from-missing", 550, "5.6.0", "message has no usable From field"},
	FromSeveral:         {"from-several", 550, "5.6.0", "message has more than one From field"},
	FromNotInbox:        {"from-not-inbox", 550, "5.7.1", "From address does not belong to this login"},
	SenderFieldNotInbox: {"sender-field-not-inbox", 550, "5.7.1", "Sender address does not belong to this login"},
	HeaderSyntax:        {"header-syntax", 550, "5.6.0", "malformed message header"},
	HeaderTooLarge:      {"header-too-large", 552, "5.3.4", "message header is too large"},
	MailLoop:            {"mail-loop", 554, "5.4.6", "too many hops, this message is in a loop"}, // RFC 5321, section 6.3
	ScopeSend:           {"scope-send", 550, "5.7.1", "this login may not send"},
	AgentInactive:       {"agent-inactive", 550, "5.7.1", "this login may not send"},
	OverSize:            {"over-size", 552, "5.3.4", "message is too large"},
	NoRecipients:        {"no-recipients", 554, "5.5.1", "no valid recipients"},
	TooManyRecipients:   {"too-many-recipients", 452, "4.5.3", "too many recipients"}, // RFC 5321, section 4.5.3.1.10
	DomainNotOwned:      {"domain-not-owned", 550, "5.7.1", "mail of this domain may not leave yet"},
	TestEnvironment:     {"test-environment", 550, "5.7.1", "a test login sends to local addresses only"},

	LimitMessages:       {"limit-messages", 451, "4.7.1", "too many messages"}, // RFC 3463, section 3.8: policy, and not for good
	LimitRecipients:     {"limit-recipients", 452, "4.5.3", "too many recipients"},
	LimitFirstTime:      {"limit-first-time", 452, "4.5.3", "too many new recipients"},
	LimitSize:           {"limit-size", 552, "5.3.4", "message is too large"}, // RFC 1870, section 6.1
	RecipientDenied:     {"recipient-denied", 550, "5.7.1", "this login may not send to this recipient"},
	RecipientNotAllowed: {"recipient-not-allowed", 550, "5.7.1", "this login may not send to this recipient"},
	RecipientNoReply:    {"recipient-no-reply", 550, "5.7.1", "this login may not send to this recipient"},
	RecipientOutside:    {"recipient-outside", 550, "5.7.1", "this login may not send to this recipient"},
	TriggerMissing:      {"trigger-missing", 550, "5.7.1", "message does not say what caused it: Agent-Trigger"},
	ContentMissing:      {"content-missing", 550, "5.7.1", "message does not say how it came about: Agent-Content"},
	TokenLeaked:         {"token-leaked", 550, "5.7.1", "message contains a secret"},
	NotApproved:         {"not-approved", 550, "5.7.1", "message was not approved"},
	DMARCFailed:         {"dmarc", 550, "5.7.1", "the domain in From asks that mail like this be refused (DMARC)"}, // RFC 7489, section 10.3
	FromDomains:         {"from-domains", 550, "5.7.1", "message has authors of several domains in From"},
	DMARCUnknown:        {"dmarc-unknown", 451, "4.4.3", "cannot find out now whether the domain in From sent this (DMARC)"},

	// Nothing is ever refused because of these. // PI-3
	InjectionSuspicious: {"injection-suspicious", 250, "2.0.0", "OK"},
	InjectionQuarantine: {"injection-quarantine", 250, "2.0.0", "OK"},
	InjectionPartial:    {"injection-partial", 250, "2.0.0", "OK"},
	InjectionHard:       {"injection-hard", 250, "2.0.0", "OK"},
	InjectionAllowed:    {"injection-allowed", 250, "2.0.0", "OK"},
	InjectionReportOnly: {"injection-report-only", 250, "2.0.0", "OK"},

	HoldAlways:     {"hold-always", 250, "2.0.0", waits},
	HoldTaint:      {"hold-taint", 250, "2.0.0", waits},
	HoldFirstTime:  {"hold-first-time", 250, "2.0.0", waits},
	HoldNewDomain:  {"hold-new-domain", 250, "2.0.0", waits},
	HoldAttachment: {"hold-attachment", 250, "2.0.0", waits},
	HoldRecipients: {"hold-recipients", 250, "2.0.0", waits},
	HoldForward:    {"hold-forward", 250, "2.0.0", waits},
	HoldRate:       {"hold-rate", 250, "2.0.0", waits},
}

// String is the rule's word, as it stands in events.
func (r Rule) String() string {
	if int(r) >= len(rules) {
		return fmt.Sprintf("rule-%d", uint8(r))
	}
	return rules[r].word
}

// Limits reports whether the rule is a limit of what is sent within a time.
func (r Rule) Limits() bool { return r == LimitMessages || r == LimitRecipients || r == LimitFirstTime }

// Decision is the answer to a question: whether, and by which rule not.
type Decision struct {
	Allow bool
	Rule  Rule
	// Hold: allowed, but the message waits for a person, by these rules.
	Hold []Rule
	// Warn: allowed, and these rules would have liked it otherwise.
	Warn []Rule
	// Level is the level whose limit or list refused, and Retry how long it takes
	// until the limit has room; zero: it never has for this message.
	Level storage.PolicyLevel
	Retry time.Duration
	// Closed: the limit is zero, so that it has room for no message at all.
	Closed bool
}

var allow = Decision{Allow: true}

func refuse(r Rule) Decision { return Decision{Rule: r} }

// Err is the refusal as an error, nil when the decision allows.
func (d Decision) Err() error {
	if d.Allow {
		return nil
	}
	return d.Refusal()
}

// Refusal is what the decision says to a peer, with the time to come back; of a
// limit of zero, that there is none. // AV-1
func (d Decision) Refusal() *RefusedError {
	e := Refusal(d.Rule)
	switch {
	case d.Closed && d.Rule == LimitFirstTime:
		e.Code, e.Enhanced, e.Public = 550, "5.7.1", "this login may not send to new recipients"
	case d.Closed:
		e.Code, e.Enhanced, e.Public = 550, "5.7.1", rules[ScopeSend].public
	case d.Retry > 0:
		e.Public += fmt.Sprintf(", try again in %d s", d.Seconds())
	}
	return e
}

// Seconds is Retry in whole seconds, rounded up.
func (d Decision) Seconds() int { return int((d.Retry + time.Second - 1) / time.Second) }

// RefusedError is a refusal for a peer, with two texts: Public is all that the
// peer may be told, Error names the rule for the log.
type RefusedError struct {
	Rule     Rule
	Code     int    // RFC 5321, section 4.2
	Enhanced string // RFC 3463
	Public   string
}

// Refusal is the refusal by a rule.
func Refusal(r Rule) *RefusedError {
	if int(r) >= len(rules) {
		r = HeaderSyntax
	}
	t := rules[r]
	return &RefusedError{Rule: r, Code: t.code, Enhanced: t.enhanced, Public: t.public}
}

func (e *RefusedError) Error() string { return "refused by rule " + e.Rule.String() }

// Temporary reports whether the peer may try again later.
func (e *RefusedError) Temporary() bool { return e.Code/100 == 4 }
