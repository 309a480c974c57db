package control

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/server/message"
)

// sentences tell each verb of the log to a person. In braces stands what the event
// says: {who} acted, {agent}, {credential} and {inbox} are concerned, all else is a
// field by its name. What is in square brackets is left out when the event does not
// say it. A second sentence, after a bar, is for an event that was refused or failed.
var sentences = map[string]string{
	"server.start":     "The server started[, version {version}].",
	"server.stop":      "The server stopped in order.",
	"server.heartbeat": "The server is running.",
	"clock.step":       "The clock moved by {step_millis}.",
	"log.rollback":     "{who} accepted a log that does not extend the one before[: {note}].",
	"key.create":       "A key was made[ for {purpose}].",

	"organization.create": "The organization[ {name}] was made.",
	"domain.add":          "{who} added the domain {domain}.",
	"domain.remove":       "{who} removed the domain {domain}.",
	"domain.prove":        "Ownership of {domain} was proved[ by {proof}].",
	"domain.names":        "The names of {domain} are kept another way now[: {names}].",
	"domain.record":       "The {record} record[ {name}] of {domain} is {state}[, it was {was}].",
	"domain.displace":     "{domain} gave way to who proved to own it.",
	"dkim.create":         "A signing key {selector} was made for {domain}.",
	"dkim.publish":        "The record of signing key {selector} of {domain} was seen in the DNS.|The record of signing key {selector} of {domain} is not in the DNS.",
	"dkim.sign":           "Signing key {selector} of {domain} signs from now on.",
	"dkim.retire":         "Signing key {selector} of {domain} is {state}.",
	"dkim.revoke":         "{who} revoked signing key {selector} of {domain}[: {note}].",
	"dkim.rotate":         "{who} asked for new signing keys of {domain}[: {note}].",

	"inbox.create":        "{who} created the inbox {address}.",
	"inbox.remove":        "{who} removed the inbox {address}[: {note}].",
	"inbox.erased":        "The key of a removed inbox was destroyed: what it held can never be read again.",
	"mailbox.create":      "{who} created the mailbox {name} in {inbox}.",
	"mailbox.rename":      "{who} renamed a mailbox of {inbox}[ from {before}][ to {after}].",
	"mailbox.delete":      "{who} deleted the mailbox {name} of {inbox}.",
	"mailbox.subscribe":   "{who} subscribed to {name} in {inbox}.",
	"mailbox.unsubscribe": "{who} unsubscribed from {name} in {inbox}.",
	"agent.create":        "{who} created the agent {agent}[, owned by {owner}].",
	"agent.suspend":       "{who} suspended the agent {agent}[: {note}].",
	"agent.resume":        "{who} resumed the agent {agent}[: {note}].",
	"agent.decommission":  "{who} decommissioned the agent {agent}[: {note}].",
	"agent.tainted":       "{agent} read what may have been written to steer it; what it sends waits[ until {expires}].",
	"credential.create":   "{who} created credential {credential} of {agent}[, until {expires}].",
	"credential.revoke":   "{who} revoked credential {credential} of {agent}[: {note}][, {sessions} ended][ after {millis} ms].",
	"credential.rotate":   "{who} rotated credential {credential} of {agent}.",
	"credential.end":      "The time of credential {credential} of {agent} was over[; {sessions} ended].",
	"credential.ending":   "Credential {credential} of {agent} ends[ on {expires}] and has no successor.",
	"credential.waive":    "{who} let credential {credential} of {agent} live longer than policy allows[: {note}].",
	"credential.leaked":   "The token of credential {credential} of {agent} stood in outgoing mail, which was stopped.",
	"freeze.set":          "{who} froze {kind}[ {name}][: {note}][, {sessions} ended][ after {millis} ms].",
	"freeze.lift":         "{who} lifted the freeze of {kind}[ {name}][: {note}].",
	"session.login":       "{agent} logged in[ at {door}][ with {credential}][ to {inbox}].",
	"session.refused":     "{agent} was not let in[: {rule}].",
	"session.end":         "A session of {agent} ended[: {rule}].",
	"person.create":       "{who} made an account for {person}.",
	"person.change":       "{who} changed the account of {person}[: {rule}].",
	"person.login":        "{person} signed in[ at {door}][ by {factor}].",
	"person.renew":        "{person} showed again who they are[ at {door}][ by {factor}].",
	"person.invite":       "{who} made a link by which {person} begins their account[, until {expires}].",
	"person.welcome":      "{person} used the link to begin their account.",
	"passkey.add":         "{person} added the passkey {passkey_name}.",
	"passkey.remove":      "{who} removed the passkey {passkey_name} of {person}.",
	"passkey.suspect":     "The passkey {passkey_name} of {person} may have been copied: it lets nobody in any more.",
	"person.refused":      "{person|Somebody} was refused[ at {door}][: {rule}].",
	"person.logout":       "A session of {person} ended[: {rule}].",
	"consent.give":        "{who} agreed to an act that needs several people.",

	"message.received":   "A message[ from {from}] came to {inbox}[, verdict {verdict}][: {id}].",
	"message.duplicate":  "{message}[ from {from}] came to {inbox} again, and was not stored twice.",
	"message.refused":    "{message}[ {by}][ to {recipients}] was refused[: {rules}].",
	"message.submitted":  "{agent} sent {message}[ to {recipients}][, because of {because}][; {quotes}][. The server saw otherwise: {contradictions}].|{agent} wants to send {message}[ to {recipients}][, because of {because}][; {quotes}]: it waits for people[. The server saw otherwise: {contradictions}].",
	"message.appended":   "{agent} stored {message} in {inbox}[, verdict {verdict}].",
	"message.copied":     "{agent} copied {messages} in {inbox}.",
	"message.moved":      "{agent} moved {messages} in {inbox}.",
	"message.flagged":    "{agent} changed flags of {messages} in {inbox}.",
	"message.expunged":   "{agent} removed {messages} from {inbox}.",
	"message.read":       "{agent} read {messages} of {inbox}[ ({class})].",
	"message.searched":   "{agent} searched the content of {inbox}.",
	"message.traced":     "{who} looked at the history of a message.",
	"message.held":       "{message} of {agent}[ to {recipients}] waits for {people}[, because {rules}][; it is rejected on {expires}].",
	"message.captured":   "What {agent} sent[ to {recipients}] with a test credential was kept here: {message}.",
	"message.rendered":   "Messages of {inbox} got the view in which nothing is hidden.",
	"message.rescored":   "A message of {inbox} was judged again[: {verdict}].",
	"message.marked":     "{who} said that a message of {inbox} was judged wrongly[: it is {state}][: {note}].",
	"message.listed":     "{who} looked at which messages are in {inbox}.",
	"glass.open":         "{who} may read one message of {inbox}[, until {expires}][: {label}][, {note}].|{who} asks to read one message of {inbox}[: {label}][, {note}].",
	"glass.viewed":       "{who} read a message of {inbox}[ ({class})].",
	"glass.end":          "{who} ended the reading of a message of {inbox}[ by {person}][: {note}].",
	"glass.swept":        "What was noted of who read what in an erased inbox was removed.",
	"allow.add":          "{who} let mail of a sender into {inbox} though it looks suspicious[: {note}].",
	"allow.remove":       "{who} took back that mail of a sender is let into {inbox}[: {note}].",
	"injection.evaluate": "{who} had the marked messages judged[ by model {model}].",
	"injection.replay":   "{who} had stored messages judged again[ by model {model}].",
	"capture.read":       "{who} looked at what a test credential sent.",
	"capture.swept":      "What test credentials sent long ago was removed.",
	"approval.release":   "{who} let {message} of {agent} go[ to {recipients}][, after {waited}][: {note}].",
	"approval.reject":    "{who} rejected {message} of {agent}[ to {recipients}][, after {waited}][: {note}].|{message}, which waited for people, went with its inbox.",
	"approval.expire":    "Nobody decided about {message} of {agent}[ to {recipients}][ in {waited}]: it is rejected.",
	"approval.viewed":    "{who} read {message} of {agent}, which waits.",

	"quarantine.release": "{who} let {message} out of quarantine into {inbox}[: {note}].",
	"quarantine.reject":  "{who} deleted {message} in the quarantine of {inbox}[: {note}].",
	"quarantine.viewed":  "{who} read what a message in the quarantine of {inbox} says[: {note}].",
	"quarantine.swept":   "What was noted of the quarantine of an erased inbox was removed.",

	"queue.attempt":    "{message}[ to {to}] could not be delivered yet[: {code}][ from {host}].",
	"queue.delivered":  "{message}[ to {to}] was delivered[ to {host}][ over {tls}].",
	"queue.failed":     "{message}[ to {to}] failed for good[: {code}].",
	"queue.expired":    "{message}[ to {to}] was given up after its last try.",
	"queue.retry":      "{who} had {message}[ to {to}] tried again.",
	"queue.hold":       "{who} {held} {message}[ to {to}][: {note}].",
	"queue.bounce":     "{who} returned {message}[ to {to}] to its sender[: {note}].",
	"notice.delivered": "A notice was put into {inbox}.",
	"notice.queued":    "A notice[ to {to}] was put into the queue.",

	"strangers.refused": "Strangers[ from {network}] were refused[ {times}][ at {command}][: {rule}].",
	"storage.swept":     "Files that nothing refers to were removed.",
	"backup.create":     "{who} began a backup.",
	"backup.verify":     "{who} restored the backup of {first} elsewhere, and all of it was right.|{who} restored the backup of {first} elsewhere, and problems were found.",
	"backup.restore":    "This server was restored from the backup of {first}. What happened since then is not in this log.",
	"audit.exported":    "{who} exported events of this log.",
	"audit.listed":      "{who} read this log[: {terms}].",
	"audit.verified":    "{who} had this log verified: the tree of {tree_size} events is the one that was signed.|{who} had this log verified, and it is not the one that was signed[: {note}].",
	"alert.raise":       "An alert was raised: {kind}[, {agent}].",
	"alert.acknowledge": "{who} acknowledged an alert[: {kind}].",
	"alert.resolve":     "An alert is over: {kind}.",
	"webhook.create":    "{who} added a webhook.",
	"webhook.remove":    "{who} removed a webhook.",
	"webhook.rotate":    "{who} gave a webhook a new secret.",
	"webhook.change":    "A webhook is {state} now.",
	"webhook.attempt":   "A webhook was told[: {code}].|A webhook could not be told[: {rule}].",
	"policy.set":        "{who} set {setting}[ to {after}][, before {before}][ for {name}].",
	"policy.unset":      "{who} unset {setting}[, before {before}][ for {name}].",

	"sts.set":  "The TLS policy of {domain} was fetched[: {mode}].",
	"sts.drop": "The TLS policy of {domain} is not kept any more.",

	"report.received":    "A report[ from {reporter}] about {domain} was stored.",
	"report.sent":        "A report about mail[ from {domain}] was put into the queue.",
	"report.swept":       "Old reports were removed.",
	"certificate.obtain": "{host} got its first certificate[ from {authority}].",
	"certificate.renew":  "{host} got another certificate[ from {authority}].",
	"certificate.fail":   "No certificate could be had for {host}.",
	"certificate.remove": "The certificate of {host} was removed.",

	"setup.link":   "{who} made a link by which this server is set up[, until {expires}].",
	"setup.enter":  "The link by which this server is set up was used.",
	"setup.change": "{who} set up this server, step {step}: {state}[, {after}].",
	"setup.finish": "{who} ended the set-up of this server.",
	"key.recovery": "{who} and the recovery key {key_id}: {state}.",
}

// Sentence tells the event to a person. names is what people call ids.
func (e *Event) Sentence(names map[string]string) string {
	template := sentences[e.Verb]
	if done, failed, two := strings.Cut(template, ".|"); two {
		template = done + "."
		if e.Outcome != "ok" {
			template = failed
		}
	}
	if template == "" {
		return e.Verb
	}
	text := fillBrackets(template, func(key string) string { return e.word(key, names) })
	if strings.HasPrefix(template, "{message}") {
		first, size := utf8.DecodeRuneInString(text)
		text = string(unicode.ToUpper(first)) + text[size:] // an id in angle brackets stays
	}
	if e.Outcome == "refused" && !strings.Contains(text, "refused") && !strings.Contains(text, "not let in") {
		text = "Refused: " + text
	}
	return text
}

// fillBrackets fills a template. A part in square brackets falls away when a word in
// it is missing; elsewhere a missing word is "somebody".
func fillBrackets(template string, word func(string) string) string {
	var b strings.Builder
	for template != "" {
		before, rest, optional := strings.Cut(template, "[")
		b.WriteString(fillWords(before, word, nil))
		if !optional {
			break
		}
		part, after, _ := strings.Cut(rest, "]")
		missing := false
		if text := fillWords(part, word, &missing); !missing {
			b.WriteString(text)
		}
		template = after
	}
	return b.String()
}

// fillWords fills the words of a part. missing, when it is not nil, is set where one
// has no value.
func fillWords(part string, word func(string) string, missing *bool) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(part, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		key, after, _ := strings.Cut(rest, "}")
		key, other, hasOther := strings.Cut(key, "|")
		text := word(key)
		switch {
		case text != "":
		case hasOther:
			text = other
		case missing != nil:
			*missing = true
		default:
			text = "somebody"
		}
		b.WriteString(text)
		part = after
	}
}

// word is what an event says under a name.
func (e *Event) word(key string, names map[string]string) string {
	called := func(id string) string {
		if name := names[id]; name != "" || len(id) < 12 {
			return name
		}
		return "…" + id[len(id)-12:]
	}
	switch key {
	case "who":
		return e.who(called)
	case "agent":
		if e.Agent == "" && e.Actor.Kind == "agent" {
			return called(e.Actor.ID)
		}
		return called(e.Agent)
	case "credential":
		return called(e.Credential)
	case "inbox":
		if e.Inbox == "" {
			return "an inbox"
		}
		return called(e.Inbox)
	}
	if tell := told[key]; tell != nil {
		return tell(e)
	}
	if key == "by" { // who wanted to send it
		if agent := e.word("agent", names); agent != "" {
			return "of " + agent
		}
		if from := e.personal("from"); from != "" {
			return "from " + cut(from, 100)
		}
		return ""
	}
	if v, ok := e.Personal[key]; ok {
		return spoken(key, v)
	}
	return spoken(key, e.Fields[key])
}

// told are the words that are made of several facts, or of a number.
var told = map[string]func(*Event) string{
	"message": (*Event).about, "recipients": (*Event).recipients, "because": (*Event).because, "quotes": (*Event).quoted, "rules": (*Event).ruled,
	"contradictions": (*Event).contradicted, "waited": (*Event).waited,
	"id": func(e *Event) string {
		if e.personal("message_id") == "" {
			return ""
		}
		return e.about()
	},
	"messages": func(e *Event) string {
		if e.Fields["count"] == nil {
			return "messages"
		}
		return several(e.number("count"), "message")
	},
	"sessions": func(e *Event) string {
		if e.Fields["count"] == nil {
			return ""
		}
		return several(e.number("count"), "session")
	},
	"times": func(e *Event) string {
		if n := e.number("count"); n > 1 {
			return strconv.FormatInt(n, 10) + " times"
		}
		return ""
	},
	"people": func(e *Event) string {
		if n := e.number("persons"); n > 1 {
			return several(n, "person")
		}
		return "a person"
	},
	"held": func(e *Event) string {
		if e.personal("after") == "queued" || e.field("state") == "queued" {
			return "let go"
		}
		return "held"
	},
}

// who is the actor as a person says it.
func (e *Event) who(called func(string) string) string {
	switch a := e.Actor; a.Kind {
	case "agent":
		return called(a.ID)
	case "stranger":
		return strings.TrimSpace("A stranger " + a.Network)
	case "system":
		return "Postern"
	case "founder":
		return "Who sets this server up"
	case "unix":
		return "Unix user " + a.Name
	default:
		return a.Name
	}
}

// spoken is a value in a sentence.
func spoken(key string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		if len(v) > 3 && key == "to" {
			return several(int64(len(v)), "recipient")
		}
		var all []string
		for _, one := range v {
			all = append(all, spoken(key, one))
		}
		return strings.Join(all, ", ")
	case json.Number:
		if n, err := v.Int64(); err == nil && key == "step_millis" {
			return (time.Duration(n) * time.Millisecond).String()
		}
		return v.String()
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format("2 January 2006, 15:04 UTC")
		}
		if key == "subject" {
			return message.DecodeWords(v)
		}
		return v
	}
	return fmt.Sprint(v)
}
