package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type changePasswordInput struct {
	Body struct {
		_               struct{} `additionalProperties:"true"`
		CurrentPassword string   `json:"current_password" example:"correct horse battery" doc:"The one that one has."`
		Password        string   `json:"password" example:"another horse entirely" doc:"The new one. At most 72 bytes."`
	}
}

type forgotPasswordInput struct {
	Body struct {
		_     struct{} `additionalProperties:"true"`
		Email string   `json:"email" example:"alice@example.com" doc:"The address of the account, in upper or lower case."`
	}
}

type resetPasswordInput struct {
	Body struct {
		_        struct{} `additionalProperties:"true"`
		Token    string   `json:"token" example:"cmsg_reset_EXAMPLEEXAMPLEEXAMPLEEXAMPWZVDLBI" doc:"What the mail brings. It is good once, for half an hour."`
		Password string   `json:"password" example:"another horse entirely" doc:"The new one. At most 72 bytes."`
	}
}

func (a *API) registerPassword() {
	tag := func(op huma.Operation, description string) huma.Operation {
		op.Tags, op.Description = []string{"auth"}, description
		return op
	}
	register(a, a.signedIn(tag(a.operation(http.MethodPost, "/v1/me/password", "change-password",
		"Choose another password", 400, 413, 429),
		"It ends all sessions but the one that asks, and mails that it was done.")), a.changePassword)
	register(a, tag(a.operation(http.MethodPost, "/v1/auth/forgot-password", "forgot-password",
		"Have a mail sent with which to choose another password", 400, 413, 429, 501),
		"The answer is the same whether there is an account with that address or not."), a.forgotPassword)
	register(a, tag(a.operation(http.MethodPost, "/v1/auth/reset-password", "reset-password",
		"Choose another password with what a mail has brought", 400, 413, 501),
		"It ends all sessions of the account. A password that won't do does not use the token up."), a.resetPassword)
}

func (a *API) changePassword(ctx context.Context, in *changePasswordInput) (*empty, error) {
	return &empty{}, a.auth.ChangePassword(ctx, callerOf(ctx), in.Body.CurrentPassword, in.Body.Password)
}

func (a *API) forgotPassword(ctx context.Context, in *forgotPasswordInput) (*empty, error) {
	return &empty{}, a.auth.ForgotPassword(ctx, in.Body.Email)
}

func (a *API) resetPassword(ctx context.Context, in *resetPasswordInput) (*empty, error) {
	_, err := a.auth.ResetPassword(ctx, in.Body.Token, in.Body.Password)
	return &empty{}, err
}
