package control

import (
	"slices"

	"postern/server/directory"
)

// acts says of each command what kind of act it is. A reserved one needs a person
// with a second factor, whose role allows it. The others need nothing more than
// the socket; but a person who is logged in does what their roles allow, and no
// more because they sit there as some Unix user. Where a reserved act depends on
// what exactly is asked, the command asks by itself. A command that is missing
// here is taken for one that operates. // AC-2, AC-15
var acts = map[string]directory.Act{
	"domain.add": directory.ActOperate, "domain.list": directory.ActEvidence, "domain.show": directory.ActEvidence,
	"dkim.list": directory.ActEvidence, "dkim.show": directory.ActEvidence,
	"dkim.rotate": directory.ActOperate, "dkim.retire": directory.ActOperate, "dkim.revoke": directory.ActOperate,
	"domain.records": directory.ActEvidence, "domain.check": directory.ActOperate, "domain.checked": directory.ActEvidence, "domain.remove": directory.ActOperate,
	"inbox.create": directory.ActOperate, "inbox.list": directory.ActEvidence, "inbox.show": directory.ActEvidence, "inbox.remove": directory.ActOperate,
	"agent.create": directory.ActOperate, "agent.list": directory.ActEvidence, "agent.show": directory.ActEvidence,
	"agent.suspend": directory.ActOperate, "agent.resume": directory.ActOperate, "agent.decommission": directory.ActOperate,
	"credential.create": directory.ActOperate, "credential.list": directory.ActEvidence, "credential.show": directory.ActEvidence,
	"credential.rotate": directory.ActOperate, "credential.rotate-due": directory.ActOperate, "credential.revoke": directory.ActOperate,
	"credential.report": directory.ActEvidence, "credential.activity": directory.ActEvidence,
	"freeze.set": directory.ActOperate, "freeze.lift": directory.ActUnfreeze, "freeze.list": directory.ActEvidence,
	"queue.list": directory.ActEvidence, "queue.day": directory.ActEvidence, "queue.show": directory.ActEvidence, "queue.retry": directory.ActOperate,
	"queue.hold": directory.ActOperate, "queue.release": directory.ActRelease, "queue.bounce": directory.ActOperate,
	"approval.list": directory.ActEvidence, "approval.decisions": directory.ActEvidence, "approval.show": directory.ActContent, // which who may release has, too
	"approval.release": directory.ActRelease, "approval.reject": directory.ActRelease,
	"injection.replay": directory.ActOperate, "injection.model": directory.ActEvidence, // to apply what it finds: its own question
	"quarantine.list": directory.ActEvidence, "quarantine.scores": directory.ActEvidence, "quarantine.show": directory.ActEvidence, // with content: its own question
	"quarantine.release": directory.ActRelease, "quarantine.reject": directory.ActRelease,
	"allow.add": directory.ActPolicy, "allow.list": directory.ActEvidence, "allow.remove": directory.ActPolicy,
	"message.mark": directory.ActRelease, "message.marks": directory.ActEvidence, "injection.evaluate": directory.ActOperate, "injection.report": directory.ActEvidence,
	"backup.create": directory.ActOperate, "backup.verified": directory.ActOperate,
	"audit.list": directory.ActEvidence, "audit.export": directory.ActEvidence, "audit.key": directory.ActEvidence, "audit.explore": directory.ActEvidence, "audit.verify": directory.ActEvidence,
	"policy.keys": directory.ActEvidence, "policy.show": directory.ActEvidence, "policy.set": directory.ActPolicy, "policy.unset": directory.ActPolicy,
	"captured.list": directory.ActEvidence, "captured.show": directory.ActContent,
	"report.list": directory.ActEvidence, "report.show": directory.ActEvidence,
	"message.list": directory.ActEvidence, "message.show": directory.ActEvidence, // subjects: their own question
	"message.text": directory.ActContent, "message.page": directory.ActContent, "message.part": directory.ActContent,
	"glass.open": directory.ActContent, "glass.agree": directory.ActContent, "glass.end": directory.ActContent, "glass.list": directory.ActEvidence,
	"message.trace": directory.ActEvidence, "health": directory.ActSelf,
	"overview": directory.ActEvidence, "agent.day": directory.ActEvidence, "counters": directory.ActEvidence, "counters.watch": directory.ActEvidence,
	"alert.list": directory.ActEvidence, "alert.show": directory.ActEvidence, "alert.acknowledge": directory.ActOperate,
	"webhook.create": directory.ActOperate, "webhook.list": directory.ActEvidence, "webhook.show": directory.ActEvidence,
	"webhook.remove": directory.ActOperate, "webhook.rotate": directory.ActOperate, "webhook.enable": directory.ActOperate, "webhook.test": directory.ActOperate,
	"certificate.list": directory.ActEvidence, "certificate.renew": directory.ActOperate,
	"person.create": directory.ActSelf,                                                                             // its own question: the first needs nobody
	"person.list":   directory.ActEvidence, "person.show": directory.ActSelf, "person.sessions": directory.ActSelf, // of others: their own question
	"passkey.ask": directory.ActSelf, "passkey.add": directory.ActSelf, "passkey.list": directory.ActSelf, "passkey.remove": directory.ActSelf, // of others: their own question
	"person.renew": directory.ActSelf, "person.totp-new": directory.ActSelf, "person.totp": directory.ActSelf, "person.recovery": directory.ActSelf, "person.handover": directory.ActSelf,
	"person.invite": directory.ActPeople, "person.welcome": directory.ActSelf,
	"person.roles": directory.ActPeople, "person.disable": directory.ActPeople, "person.enable": directory.ActPeople, "person.factor": directory.ActPeople,
	"person.password": directory.ActSelf, "person.revoke": directory.ActSelf, // of others: their own question
	"setup.gate": directory.ActSelf, "setup.enter": directory.ActSelf, "setup.show": directory.ActEvidence,
	"setup.link": directory.ActOperate, "setup.name": directory.ActOperate, "setup.skip": directory.ActOperate, "setup.finish": directory.ActOperate, "setup.check": directory.ActOperate, "setup.checked": directory.ActEvidence, "setup.agent": directory.ActOperate, "doctor.changes": directory.ActEvidence, "doctor": directory.ActEvidence, // to look anew: its own question
	"setup.greet": directory.ActOperate, "setup.feed": directory.ActEvidence,
	"setup.admin": directory.ActSelf, "setup.prove": directory.ActSelf, // as person.create; in one's own session
	"key.recovery": directory.ActSelf, "key.confirm": directory.ActSelf, // their own question: who founds, else who manages people
	"person.login": directory.ActSelf, "person.logout": directory.ActSelf, "person.whoami": directory.ActSelf,
}

// allowed says whether the caller may use a command at all.
func (by caller) allowed(command string) error {
	act, ok := acts[command]
	if !ok {
		act = directory.ActOperate
	}
	switch {
	case by.person == nil && by.door != doorHere && !by.founder && !slices.Contains(strangers, command):
		return &reservedError{act, "session", "nobody is logged in"}
	case by.person != nil && by.person.Must != "" && act != directory.ActSelf:
		return by.unready(act)
	case act.Reserved():
		return by.may(act)
	case by.person != nil && !directory.Allows(by.person.Person.Roles, act):
		return by.roleRefuses(act)
	}
	return nil
}
