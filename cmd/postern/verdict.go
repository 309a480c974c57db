package main

// What the words of verdicts mean, for people.
var (
	// placements say which rule put a message away.
	placements = map[string]string{
		"injection-hard":       "It has text that no person who reads it would see, and that says something to a machine. Such mail is put away whatever else it says.",
		"injection-quarantine": "Its score is one that at most one harmless message in a thousand reaches.",
		"injection-suspicious": "Its score is suspicious, and the inbox puts suspicious mail away (injection-suspicious).",
		"injection-partial":    "It could not be read in whole, and the inbox puts such mail away (injection-partial).",
		"dmarc":                "It fails DMARC, and the domain in From asks that such mail be refused. Another recipient's policy let it in.",
	}
	// senders say whether a message comes from where it says.
	senders = map[string]string{
		"pass":  "It comes from the domain in From: DMARC passed. That says who wrote it, and not what it wants.",
		"fail":  "It does not come from the domain in From: DMARC failed.",
		"local": "It was sent by an agent of this server, or put there by one.",
		"none":  "Whether it comes from the domain in From cannot be told.",

		"temperror": "Whether it comes from the domain in From could not be found out when it came.",
		"permerror": "Whether it comes from the domain in From cannot be told: what that domain publishes is broken.",
	}
	// reasons are the closed list of why a message scored as it did.
	reasons = map[string]string{
		"override_instruction":   "it tells the reader to drop its instructions",
		"role_or_chat_markup":    "it imitates the markup of a chat or of a tool",
		"addressed_to_agent":     "it speaks to a machine that reads mail",
		"tool_or_exfil_request":  "it wants something done with a mailbox: forward, delete, send, visit",
		"secrecy_request":        "it wants the owner of the mailbox not to know",
		"prompt_extraction":      "it wants the instructions or the secrets of the machine",
		"hidden_text":            "what tells is not shown to a person",
		"invisible_characters":   "it is written in characters without a glyph, or broken up by them",
		"mixed_script":           "its words mix alphabets that look alike",
		"encoded_payload":        "it stands in an encoding",
		"alternative_mismatch":   "one version of the body says what the other does not",
		"attachment_instruction": "it stands in an attachment or its name",
		"header_instruction":     "it stands in a field of the header",
		"unscanned_content":      "something in it was not looked at",
	}
	// kinds are the kinds of text in a message.
	kinds = map[string]string{
		"subject": "the subject", "name": "the name of a sender or recipient", "header": "a field of the header",
		"text": "text that a person sees", "html": "text that a person sees",
		"hidden": "text that a person does not see", "comment": "a comment, which a person does not see", "attribute": "text in the markup, which a person hardly sees",
		"attachment": "text in an attachment", "file_name": "the name of a file", "preamble": "text around the parts, which a person does not see",
		"invisible": "text in characters that have no glyph", "decoded": "what an encoded run says",
	}
	// forms are the rules of form that no score outweighs.
	forms = map[string]string{
		"invisible_text": "words are written in characters that have no glyph: that does not happen by accident",
		"unseen_request": "it is hidden, encoded or commented out, and suspicious by itself",
		"encoded_words":  "an encoded run says something in words",
	}
	// skips are why a part was not looked at.
	skips = map[string]string{
		"encrypted": "it is encrypted", "type": "it is of a type that is not read", "limit": "it is over a limit", "archive": "it is an archive of a kind that is not read",
		"error": "it could not be read",
	}
)
