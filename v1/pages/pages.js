// The pages that mails link to. Nothing is sent before the form is: a mail program may
// open a link to look at it, and that must not use it up.
const form = document.querySelector("form");
const message = document.getElementById("message");
const done = document.getElementById("done");
const button = form.querySelector("button");
const tokenField = form.querySelector("[data-token]");

// takeToken takes the token out of the address, where the history and whoever looks
// over one's shoulder would see it. Without one, it can be typed in.
function takeToken() {
	if (!tokenField) {
		return; // the page that asks for the mail
	}
	const token = location.hash.slice(1);
	if (token !== "") {
		form.elements.token.value = token;
		history.replaceState(null, "", location.pathname + location.search);
	}
	tokenField.hidden = form.elements.token.value !== "";
}

// tell says what is wrong, and with which field.
function tell(text, field) {
	message.textContent = text;
	const faulty = form.elements[field];
	for (const input of form.elements) {
		input.removeAttribute("aria-invalid");
	}
	if (faulty) {
		faulty.setAttribute("aria-invalid", "true");
		faulty.closest(".field").hidden = false; // it is asked for only now
		faulty.focus();
	}
}

async function send() {
	const body = Object.fromEntries(new FormData(form));
	delete body.username; // it is there for password managers
	if (tokenField) {
		body.token = body.token.trim();
	}
	let answer, told;
	try {
		// The page and the route have the same path, wherever the site has put them.
		answer = await fetch(location.pathname, {
			method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json"},
			credentials: "same-origin", redirect: "error",
		});
		told = await answer.json();
	} catch {
		return tell(answer ? "Something went wrong. Try again later." : "The server can't be reached. Try again.");
	}
	if (!answer.ok) {
		return tell(told.detail || "Something went wrong. Try again later.", told.field);
	}
	form.reset();
	form.hidden = true;
	done.textContent = done.dataset.text.replace(/\{(\w+)\}/g, (_, name) => told[name] ?? "");
	done.focus();
}

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	tell("");
	button.disabled = true;
	await send();
	button.disabled = false;
});

for (const box of form.querySelectorAll("[data-shows]")) {
	box.addEventListener("change", () => {
		form.elements[box.dataset.shows].type = box.checked ? "text" : "password";
	});
}

window.addEventListener("hashchange", takeToken); // another mail, the same page
takeToken();
form.hidden = false;
