/** The list of devices, with a button to end each; a proof of the password where the server wants a fresh one. */

import { $, announce, counted, h, when } from './dom.js';

/** Show the devices of whoever is signed in; gives {show, clear}. */
export function devices(client) {
  const card = $('devices-card');
  let asked = 0;

  async function show() {
    const turn = ++asked;
    try {
      const rows = await client.sessions();
      if (turn === asked) put(listed(rows));
    } catch (error) {
      if (turn === asked && client.state === 'signed-in') fault(error);
    }
  }

  /** Whoever stands on a button of the list stays there, though others sign in and out meanwhile. */
  function put(parts) {
    const at = card.contains(document.activeElement) ? document.activeElement : null;
    const session = at?.closest('[data-session]')?.dataset.session;
    card.replaceChildren(...parts);
    if (!at) return;
    const row = [...card.querySelectorAll('[data-session]')].find((one) => one.dataset.session === session);
    (row?.querySelector('button') ?? (at.id ? $(at.id) : null) ?? $('devices-title')).focus();
  }

  function listed(rows) {
    const others = rows.filter((row) => !row.current).length;
    return [
      h('ul', { class: 'devices' }, rows.map(deviceOf)),
      h(
        'div',
        { class: 'devices-foot row' },
        h(
          'button',
          { type: 'button', id: 'end-others', 'aria-disabled': others ? null : 'true', onclick: () => others && act(endOthers) },
          others ? `End the other ${others === 1 ? 'session' : `${others} sessions`}` : 'No other sessions',
        ),
      ),
      h('p', { class: 'fault', id: 'devices-fault', role: 'alert' }),
    ];
  }

  function deviceOf(row) {
    const name = row.device_name || browserOf(row.user_agent);
    return h(
      'li',
      { 'data-session': row.id },
      h(
        'div',
        { class: 'what' },
        h('h3', {}, name, ' ', row.current ? h('span', { class: 'tag' }, 'this browser') : null),
        h(
          'p',
          { class: 'muted small' },
          `${row.ip || 'address unknown'}, signed in ${at(row.created_at)}, key last turned ${at(row.refreshed_at)}`,
        ),
      ),
      row.current
        ? null
        : h(
            'button',
            { type: 'button', 'aria-label': `End the session of ${name}`, onclick: () => act(() => endOne(row.id, name)) },
            'End',
          ),
    );
  }

  async function endOne(id, name) {
    await client.endSession(id);
    announce(`The session of ${name} is ended.`);
  }

  async function endOthers() {
    const ended = await client.endOtherSessions();
    announce(`${counted(ended, 'session')} ended.`);
  }

  /** Do something that may want the password once more. */
  async function act(work) {
    try {
      await work().catch(async (error) => {
        if (error.code !== 'reauthentication_required') throw error;
        if (await provedAgain(client)) await work();
      });
      await show();
      $('devices-title').focus();
    } catch (error) {
      fault(error);
    }
  }

  function fault(error) {
    const place = $('devices-fault');
    const words = `That did not work: ${error.message}`;
    if (place) place.textContent = words;
    else card.replaceChildren(h('p', { class: 'fault', role: 'alert' }, words));
  }

  return {
    show,
    clear: () => {
      asked++;
      card.replaceChildren(h('p', { class: 'muted' }, 'Sign in to see the list.'));
    },
  };
}

/** Ask for the password in a dialogue until it is right; false where the user turns away. */
function provedAgain(client) {
  const dialog = $('again');
  const field = $('again-password');
  const name = $('again-username');
  const faults = $('again-fault');
  field.value = faults.textContent = '';
  return new Promise((resolve) => {
    $('again-form').onsubmit = async (event) => {
      event.preventDefault();
      try {
        await client.stepUp({ username: name.value, password: field.value });
        resolve(true);
        dialog.close();
      } catch (error) {
        faults.textContent = error.message;
        field.select();
      }
    };
    $('again-cancel').onclick = () => dialog.close();
    dialog.onclose = () => {
      field.value = '';
      resolve(false);
    };
    name.value ||= $('username').value; // as it was typed or filled in at the sign-in
    dialog.showModal();
    (name.value ? field : name).focus();
  });
}

const at = (moment) => when(typeof moment === 'number' ? moment * 1000 : Date.parse(moment));

/** A browser's name in words, from a field that was made for anything but reading. */
function browserOf(agent) {
  const known = [
    [/Firefox\//, 'Firefox'],
    [/Edg\//, 'Edge'],
    [/Chrome\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ];
  const system = [
    [/Android/, 'Android'],
    [/iPhone|iPad/, 'iOS'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'macOS'],
    [/Linux/, 'Linux'],
  ];
  const name = known.find(([sign]) => sign.test(agent))?.[1] ?? String(agent || 'An unknown device').slice(0, 40);
  const on = system.find(([sign]) => sign.test(agent))?.[1];
  return on ? `${name} on ${on}` : name;
}
