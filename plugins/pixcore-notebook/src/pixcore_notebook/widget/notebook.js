// The token view as a cell's widget, by anywidget's contract.
export default {
  render({ model, el }) {
    const root = document.createElement("div");
    el.append(root);
    let view = null;
    const show = () => {
      view?.close();
      view = pixcore.tokenView(root, model.get("data"), {
        pinned: model.get("tokens"),
        changed: (tokens) => { model.set("tokens", tokens); model.save_changes(); },
      });
    };
    const pin = () => view.pin(model.get("tokens"));
    model.on("change:data", show);
    model.on("change:tokens", pin);
    show();
    return () => { model.off("change:data", show); model.off("change:tokens", pin); view.close(); };
  },
};
