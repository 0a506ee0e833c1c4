package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type changeEmailInput struct {
	Body struct {
		_        struct{} `additionalProperties:"true"`
		Email    string   `json:"email" example:"alice@example.org" doc:"Empty takes the address away."`
		Password string   `json:"password" example:"correct horse battery" doc:"One's own."`
	}
}

type verifyEmailInput struct {
	Body struct {
		_        struct{} `additionalProperties:"true"`
		Token    string   `json:"token" example:"cmsg_mail_EXAMPLEEXAMPLEEXAMPLEEXAMPMZGNTFQ" doc:"What the mail brings. It is good once, for a day."`
		Password string   `json:"password,omitempty" example:"correct horse battery" doc:"Where the account is made only now: the one that was chosen for it."`
	}
}

type verifyEmailOutput struct {
	Body struct {
		Username string `json:"username" example:"alice" doc:"Whose address it is."`
		Email    string `json:"email" example:"alice@example.org" doc:"The address."`
	}
}

func (a *API) registerEmail() {
	tag := func(op huma.Operation, description string) huma.Operation {
		op.Tags, op.Description = []string{"auth"}, description
		return op
	}
	register(a, a.signedIn(tag(a.operation(http.MethodPut, "/v1/me/email", "change-email",
		"Have another e-mail address, or none", 400, 413, 429, 501),
		"A mail goes to the new address, and it is the account's when that has been answered with verify-email. Until then it is pending_email.")),
		a.changeEmail)
	register(a, a.signedIn(tag(a.operation(http.MethodPost, "/v1/me/email/verification", "send-verification",
		"Send the mail again by which one's address is verified", 400, 429, 501), "")), a.sendVerification)
	register(a, tag(a.operation(http.MethodPost, "/v1/auth/verify-email", "verify-email",
		"Show that one reads what is sent to an address, with what a mail has brought", 400, 413, 429),
		"Where the site makes an account only then, it is made, for who knows its password."), a.verifyEmail)
}

func (a *API) changeEmail(ctx context.Context, in *changeEmailInput) (*meOutput, error) {
	user, err := a.auth.ChangeEmail(ctx, callerOf(ctx), in.Body.Email, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return &meOutput{Body: newMe(user)}, nil
}

func (a *API) sendVerification(ctx context.Context, _ *struct{}) (*empty, error) {
	return &empty{}, a.auth.SendVerification(ctx, callerOf(ctx))
}

func (a *API) verifyEmail(ctx context.Context, in *verifyEmailInput) (*verifyEmailOutput, error) {
	user, err := a.auth.VerifyEmail(ctx, in.Body.Token, in.Body.Password)
	if err != nil {
		return nil, err
	}
	out := &verifyEmailOutput{}
	out.Body.Username, out.Body.Email = user.Username, user.Email
	return out, nil
}
