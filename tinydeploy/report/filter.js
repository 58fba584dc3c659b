document.querySelectorAll("thead input").forEach(function (field, column, fields) {
  field.addEventListener("input", function () {
    document.querySelectorAll("tbody tr").forEach(function (row) {
      row.hidden = Array.prototype.some.call(fields, function (each) {
        var said = each.value.trim().toLowerCase(), cell = row.cells[each.closest("th").cellIndex];
        var limit = /^([<>]=?)\s*([\d.eE+-]+)$/.exec(said);
        if (!said) return false;
        if (!limit) return cell.textContent.toLowerCase().indexOf(said) < 0;
        var value = cell.dataset.value === undefined ? NaN : parseFloat(cell.dataset.value), most = parseFloat(limit[2]);
        return !(limit[1][0] === "<" ? value < most : value > most) && !(limit[1].length > 1 && value === most);
      });
    });
  });
});
