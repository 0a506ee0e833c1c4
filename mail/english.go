package mail

import xlanguage "golang.org/x/text/language"

func english() language {
	const (
		hello = "Hello {username},"
		// Nobody has shown yet whose address it is.
		stranger = "Hello,"
		notYou   = "If it was not you, reset your password at once, and look at the list of your sessions."
		nothing  = "If you did not ask for this, do nothing."
	)
	return language{
		tag: xlanguage.English,
		letters: map[Kind]words{
			ResetPassword: {
				subject: "Reset your password at {site}",
				before: []string{
					hello,
					"Somebody has asked to reset the password of your account “{username}” at {site}. If it was you, you can choose another one now.",
				},
				action: "Choose another password",
				after: []string{
					"This works once, until {until}.",
					nothing + " Your password stays as it is.",
				},
			},
			VerifyEmail: {
				subject: "Confirm your e-mail address for {site}",
				before: []string{
					stranger,
					"Please confirm that this is the e-mail address of your account “{username}” at {site}.",
				},
				action: "Confirm this address",
				after: []string{
					"This works once, until {until}.",
					nothing + " The address will not be used.",
				},
			},
			VerifyRegistration: {
				subject: "Complete your registration at {site}",
				before: []string{
					stranger,
					"Somebody has asked for an account “{username}” at {site} with this e-mail address. If it was you, confirm it with the password that you chose, and the account will be there.",
				},
				action: "Make the account",
				after: []string{
					"This works once, until {until}.",
					nothing + " No account will be made.",
				},
			},
			PasswordChanged: {
				subject: "Your password at {site} was changed",
				before: []string{
					hello,
					"The password of your account “{username}” at {site} was changed on {time}. All other sessions have ended.",
				},
				after: []string{notYou},
			},
			EmailChanged: {
				subject: "Your e-mail address at {site} was changed",
				before: []string{
					hello,
					"This is not the e-mail address of your account “{username}” at {site} any more, since {time}. Nothing else will be sent here.",
				},
				after: []string{"If it was not you, write to those who run {site}: whoever it was knows your password."},
			},
			NewSignIn: {
				subject: "New sign-in at {site}",
				before: []string{
					hello,
					"Somebody has signed in to your account “{username}” at {site} from where nobody has before.",
					"When: {time}",
					"Device: {device}",
					"Address: {address}",
				},
				after: []string{"If it was you, there is nothing to do. " + notYou},
			},
			KeyCreated: {
				subject: "New key at {site}",
				before: []string{
					hello,
					"Somebody who was signed in to your account “{username}” at {site} has made a key, with which a program can use it.",
					"When: {time}",
					"Address: {address}",
				},
				after: []string{"If it was you, there is nothing to do. " + notYou},
			},
		},
		paste:        "Enter this where you are asked for it:",
		pasteInstead: "If the link does not open, enter this where you are asked for it:",
		send:         "Send this with a new password to {reset_at}:",
		unknown:      "unknown",
		footer:       "{site} has sent this mail by itself; nobody reads answers to it.",
	}
}
